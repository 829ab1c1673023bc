/** Thread of one packer: messages in, results and volumes out, one thing at a time. */
import { parentPort, workerData } from "node:worker_threads";
import { toPortableError } from "../portable-error.ts";
import type { KnownChunk, MainToPacker, PackerSetup, PackerToMain, PackerToScan, ScanToPacker } from "./messages.ts";
import { Packer, type PackerPort } from "./packer.ts";

if (parentPort === null) throw new Error("pack.worker runs as a worker only");
const main = parentPort;
const setup = workerData as PackerSetup;
const scan = setup.scanPort;

let answer: ((places: (KnownChunk | null)[]) => void) | null = null;
let go: ((message: MainToPacker) => void) | null = null;

function toScan(message: PackerToScan): void {
  scan.postMessage(message);
}

function toMain(message: PackerToMain): void {
  main.postMessage(message);
}

const port: PackerPort = {
  results: (results) => toScan({ kind: "results", results }),
  pieces: (volume, records) => toScan({ kind: "pieces", volume, records }),
  ask: (digests) =>
    new Promise((resolve) => {
      answer = resolve;
      toScan({ kind: "question", digests });
    }),
  nextVolume: () =>
    new Promise((resolve) => {
      go = resolve;
      toMain({ kind: "want" });
    }),
  volume: (volume) => toMain({ kind: "volume", volume }),
  spent: (buffer) => toScan({ kind: "spent", buffer }),
};

async function handle(message: Exclude<ScanToPacker, { kind: "answer" }>): Promise<void> {
  switch (message.kind) {
    case "tasks":
      await packer.run(message.tasks);
      toScan({ kind: "ready" });
      return;
    case "flush":
      return packer.flush();
    case "finish":
      await packer.finish();
      toMain({ kind: "finished", times: packer.times });
      scan.close();
      main.close();
  }
}

let chain: Promise<void> = Promise.resolve();
const packer = new Packer(setup, port);

scan.on("message", (message: ScanToPacker) => {
  if (message.kind === "answer") return answer?.(message.places);
  chain = chain
    .then(() => handle(message))
    .catch((error: unknown) => toMain({ kind: "error", error: toPortableError(error) }));
  return undefined;
});
main.on("message", (message: MainToPacker) => go?.(message));
