/** Health: an address answers as it should. */
import type { HttpCheck } from "../../config/health-schema.ts";
import { messageOf } from "../../errors.ts";
import { MIB } from "../../units.ts";
import { type Finding, ill, type ProbeOrder, well } from "./probe.ts";
import { connectionFault, Requester } from "./request.ts";

const BODY_BYTES_MAX = MIB;

function isExpected(status: number, { status: wanted }: HttpCheck): boolean {
  return wanted === null ? status >= 200 && status <= 299 : status === wanted;
}

async function firstBytes(body: AsyncIterable<Buffer>): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of body) {
    pieces.push(piece);
    bytes += piece.length;
    if (bytes >= BODY_BYTES_MAX) break;
  }
  return Buffer.concat(pieces).subarray(0, BODY_BYTES_MAX);
}

/** Throws E_CONFIG, E_REFUSED for files of the check that cannot be used. */
export async function probeHttp(check: HttpCheck, { signal }: ProbeOrder): Promise<Finding> {
  using requester = new Requester(check.target);
  try {
    const answer = await requester.get(signal);
    const status = answer.statusCode ?? 0;
    const body = await firstBytes(answer);
    const measured = { status, bytes: body.length };
    if (!isExpected(status, check)) return ill(`it answered ${status}${check.status === null ? "" : `, not ${check.status}`}`, measured);
    if (check.text !== null && !body.includes(check.text)) return ill(`its answer does not hold "${check.text}"`, measured);
    return well(measured);
  } catch (error) {
    signal.throwIfAborted();
    return ill(`${check.target.url}: ${connectionFault(error) || messageOf(error)}`);
  }
}
