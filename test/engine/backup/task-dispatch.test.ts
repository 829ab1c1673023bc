import { MessageChannel, type MessagePort } from "node:worker_threads";
import { expect, onTestFinished, test } from "vitest";
import type { PackTask } from "../../../src/engine/backup/messages.ts";
import { TaskDispatch } from "../../../src/engine/backup/task-dispatch.ts";

function portsOf(count: number): MessagePort[] {
  const channels = Array.from({ length: count }, () => new MessageChannel());
  onTestFinished(() => channels.forEach(({ port1 }) => port1.close()));
  return channels.map(({ port1 }) => port1);
}

function spans(count: number): PackTask[] {
  return Array.from({ length: count }, (_, at) => ({ kind: "span" as const, number: 1, path: "/large", ino: "1", dev: "1", at, length: 1, average: 65_536, sparse: false, previous: undefined }));
}

function startedBy(count: number): number[] {
  const started: number[] = [];
  const dispatch = new TaskDispatch(portsOf(4), (index) => started.push(index));
  dispatch.feed(1, spans(count)[Symbol.iterator](), count);
  return started;
}

test("one large file is work for every packer", () => {
  expect(startedBy(100)).toEqual([0, 1, 2, 3]);
});

test("a file of few spans is work for one", () => {
  expect(startedBy(1)).toEqual([0]);
  expect(startedBy(5)).toEqual([0]);
  expect(startedBy(6)).toEqual([0, 1]);
});
