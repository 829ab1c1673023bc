/** Health: a port takes connections. */
import { connect } from "node:net";
import type { TcpCheck } from "../../config/health-schema.ts";
import { type Finding, ill, type ProbeOrder, well } from "./probe.ts";
import { connectionFault } from "./request.ts";

export function probeTcp({ host, port }: TcpCheck, { signal }: ProbeOrder): Promise<Finding> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, signal });
    socket.once("connect", () => {
      const address = socket.remoteAddress ?? host;
      socket.destroy();
      resolve(well({ address }));
    });
    socket.once("error", (error) => resolve(ill(`${host}:${port}: ${connectionFault(error)}`)));
  });
}
