/** Thread that takes the machine's profile once. */
import { parentPort, workerData } from "node:worker_threads";
import { takeProfile } from "../../machine/profile/take-profile.ts";
import type { Coverage } from "../../machine/profile/uncovered.ts";

export type ProfileSetup = { coverage: Coverage };

const port = parentPort;
if (port === null) throw new Error("profile.worker runs as a worker only");
const { coverage } = workerData as ProfileSetup;
// What goes wrong ends the thread, which its starter hears of.
void takeProfile({ nowMs: Date.now(), coverage }).then((profile) => port.postMessage(profile));
