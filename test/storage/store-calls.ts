/** Short forms of store calls for tests. */
import { createHash } from "node:crypto";
import { type ObjectStore, readBytes, StoreError, type StoredObject } from "../../src/storage/object-store.ts";

export function digestOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

export async function readAll(store: ObjectStore, key: string, range?: { offset: number; length: number }): Promise<Buffer> {
  return readBytes(await store.get(key, range === undefined ? {} : { range }), 64 * 1024 * 1024, key);
}

export async function listAll(store: ObjectStore, prefix: string, after?: string): Promise<StoredObject[]> {
  const found: StoredObject[] = [];
  for await (const object of store.list(prefix, undefined, after)) found.push(object);
  return found;
}

export async function faultOf(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error instanceof StoreError) return error.fault;
  throw new Error(`expected a StoreError, got ${String(error)}`, { cause: error });
}
