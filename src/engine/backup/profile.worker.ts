/** Thread that takes the machine's profile once. */
import { parentPort, workerData } from "node:worker_threads";
import { takeProfile } from "../../machine/profile/take-profile.ts";
import type { Coverage } from "../../machine/profile/uncovered.ts";

export type ProfileSetup = { coverage: Coverage };

if (parentPort === null) throw new Error("profile.worker runs as a worker only");
const port = parentPort;
const { coverage } = workerData as ProfileSetup;
// What it throws ends the thread, and is told there.
void takeProfile({ nowMs: Date.now(), coverage }).then((profile) => port.postMessage(profile));
