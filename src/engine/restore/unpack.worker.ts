/** Thread of one unpacker: messages one after another. */
import { parentPort, workerData } from "node:worker_threads";
import { toPortableError } from "../portable-error.ts";
import { finishRestore } from "./finish.ts";
import type { MainToUnpack, UnpackSetup, UnpackToMain } from "./messages.ts";
import { Unpacker } from "./unpacker.ts";

if (parentPort === null) throw new Error("unpack.worker runs as a worker only");
const main = parentPort;
// The thread's data comes from the restore alone.
const setup = workerData as UnpackSetup;

function tell(message: UnpackToMain): void {
  main.postMessage(message);
}

async function handle(unpacker: Unpacker, message: MainToUnpack): Promise<void> {
  switch (message.kind) {
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

let unpacker: Unpacker | null = null;
let chain: Promise<void> = Promise.resolve();
main.on("message", (message: MainToUnpack) => {
  chain = chain
    .then(() => handle((unpacker ??= new Unpacker(setup, tell)), message))
    .catch((error: unknown) => tell({ kind: "error", error: toPortableError(error) }));
});
