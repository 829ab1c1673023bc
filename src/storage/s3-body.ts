/** The body of an S3 GET: counted against what its headers promise, so that a short one is never taken for a whole one. */
import { Readable } from "node:stream";
import type { GetObjectCommandOutput } from "@aws-sdk/client-s3";
import { type OpenedObject, StoreError } from "./object-store.ts";
import { pacedBody, type Pacers } from "./pacer.ts";
import { headerOf } from "./s3-errors.ts";

export type AnsweredGet = {
  output: GetObjectCommandOutput;
  range: { offset: number; length: number } | undefined;
  /** Maps what breaks the body off to the error for the reader. */
  fail: (error: unknown) => Error;
  doing: string;
  down: Pacers["down"];
  signal: AbortSignal | undefined;
};

/** Checks the headers of an answered GET and hands on its body. Throws StoreError `corrupt` when they contradict the request. */
export function openBody(answer: AnsweredGet): OpenedObject {
  const { output, doing } = answer;
  const stream = output.Body;
  if (!(stream instanceof Readable)) throw new StoreError("transient", `${doing}: the answer has no body`);
  try {
    const { sizeBytes, expected } = sizesOf(answer);
    const body = countedBody(stream, expected, answer);
    return { sizeBytes, body: answer.down === undefined ? body : pacedBody(body, answer.down, answer.signal) };
  } catch (error) {
    // Nobody reads the body of an answer that was refused, and an error of it must not end the process.
    stream.on("error", () => undefined).destroy();
    throw error;
  }
}

/** The size of an object from a 416 answer, `Content-Range: bytes *\/SIZE`, where the store states it. */
export function sizeWithoutBytes(error: unknown): number | undefined {
  const size = /^bytes \*\/(\d{1,15})$/.exec(headerOf(error, "content-range") ?? "")?.[1];
  return size === undefined ? undefined : Number(size);
}

function sizesOf({ output, range, doing }: AnsweredGet): { sizeBytes: number; expected: number } {
  if (output.ETag === undefined) {
    throw new StoreError("unreachable", `${doing}: the answer is none that an S3 server gives`, {
      hint: "Something between this machine and the store answers in its place; check the endpoint and the proxy.",
    });
  }
  const part = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15})$/.exec(output.ContentRange ?? "");
  if (range === undefined || (part === null && range.offset === 0)) {
    const size = output.ContentLength;
    if (size === undefined) throw new StoreError("corrupt", `${doing}: the answer does not state its length`);
    if (range !== undefined && size > range.length) throw new StoreError("corrupt", `${doing}: the store ignored the range asked for`);
    return { sizeBytes: size, expected: size };
  }
  if (part === null) throw new StoreError("corrupt", `${doing}: the store ignored the range asked for`);
  const [first, last, sizeBytes] = [Number(part[1]), Number(part[2]), Number(part[3])];
  if (first !== range.offset || last !== Math.min(range.offset + range.length, sizeBytes) - 1) {
    throw new StoreError("corrupt", `${doing}: the store sent bytes ${first}-${last} of ${sizeBytes}, not the range asked for`);
  }
  return { sizeBytes, expected: last - first + 1 };
}

async function* countedBody(stream: Readable, expected: number, { doing, fail }: AnsweredGet): AsyncGenerator<Uint8Array> {
  let received = 0;
  try {
    for await (const piece of stream) {
      if (!(piece instanceof Uint8Array)) throw new StoreError("corrupt", `${doing}: the body is not bytes`);
      received += piece.length;
      if (received > expected) throw new StoreError("corrupt", `${doing}: more than the ${expected} bytes announced arrived`);
      yield piece;
    }
  } catch (error) {
    throw fail(error);
  } finally {
    stream.destroy();
  }
  if (received < expected) throw new StoreError("transient", `${doing}: the body ended after ${received} of ${expected} bytes`);
}
