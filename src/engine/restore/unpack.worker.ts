/** Thread of one unpacker: messages one after another. */
import { parentPort, workerData } from "node:worker_threads";
import { toPortableError } from "../portable-error.ts";
import { finishRestore } from "./finish.ts";
import type { MainToUnpack, StopFlag, UnpackSetup, UnpackToMain } from "./messages.ts";
import { Unpacker } from "./unpacker.ts";

if (parentPort === null) throw new Error("unpack.worker runs as a worker only");
const main = parentPort;
const stopFlag = workerData as StopFlag;
let begun: { setup: UnpackSetup; unpacker: Unpacker } | null = null;

function tell(message: UnpackToMain): void {
  main.postMessage(message);
}

async function handle(message: MainToUnpack): Promise<void> {
  if (message.kind === "setup") begun = { setup: message.setup, unpacker: new Unpacker(message.setup, tell) };
  if (begun === null) throw new Error(`"${message.kind}" came before the setup`);
  const { setup, unpacker } = begun;
  switch (message.kind) {
    case "setup":
    case "key":
    case "stop":
      return;
    case "job":
      return unpacker.begin(message.job, message.object, message.list);
    case "bytes":
      return unpacker.take(message.job, message.range, Buffer.from(message.bytes, 0, message.length), message.region);
    case "unavailable":
      return unpacker.unavailable(message.job, message.range);
    case "close":
      return tell({ kind: "finished", lost: [], losses: unpacker.losses.list() });
    case "finish": {
      const { planDir, archiveId } = setup;
      const lost = finishRestore({ unpacker, planDir, archiveId, lost: new Set(message.lost), clean: message.clean });
      tell({ kind: "finished", lost: [...lost], losses: unpacker.losses.list() });
    }
  }
}

let chain: Promise<void> = Promise.resolve();
main.on("message", (message: MainToUnpack) => {
  if (Atomics.load(stopFlag, 0) !== 0) return main.close();
  // Awaited by the message at work, which all others wait for.
  if (message.kind === "key") return begun?.unpacker.takeKey(message);
  chain = chain.then(() => handle(message)).catch((error: unknown) => tell({ kind: "error", error: toPortableError(error) }));
});
