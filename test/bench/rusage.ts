/**
 * Runs one command and writes what it and its children took as JSON into a file: `rusage.ts FILE COMMAND ARGS…`. A process of
 * its own for each measurement, because the kernel only sums up over all children so far (getrusage(2), RUSAGE_CHILDREN). A peak
 * below some 12 MB cannot be told: before it becomes the command, a child counts as the process it was forked from.
 */
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { dlopen } from "node:ffi";

const RUSAGE_CHILDREN = -1;
const [file = "", command = "", ...args] = process.argv.slice(2);
const begin = performance.now();
const done = spawnSync(command, args, { stdio: ["ignore", "inherit", "inherit"] });
const wallMs = performance.now() - begin;
if (done.error !== undefined) throw done.error;
const { functions } = dlopen("libc.so.6", { getrusage: { return: "i32", arguments: ["i32", "pointer"] } });
/** struct rusage of 64-bit Linux: user and system time as seconds and microseconds, then the peak in KiB. */
const usage = Buffer.alloc(144);
if (functions.getrusage(RUSAGE_CHILDREN, usage) !== 0) throw new Error("getrusage failed");
const number = (at: number): number => Number(usage.readBigInt64LE(at));
const cpuMs = (number(0) + number(16)) * 1000 + (number(8) + number(24)) / 1000;
writeFileSync(file, JSON.stringify({ status: done.status, wallMs, cpuMs, peakBytes: number(32) * 1024 }));
