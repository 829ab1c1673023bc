/** The only place that knows how stored objects are named (format §2). */
import { isId } from "./id.ts";

export const VAULT_MARKER_KEY = "coldkeep.json";

export type ObjectKind = "volume" | "catalog";
/** `expired` is the copy of an expired archive's manifest that says which objects it leaves behind. */
export type KeyKind = ObjectKind | "archive" | "checkpoint" | "expired" | "record" | "program";

const FOLDERS = { archive: "archives", checkpoint: "checkpoints", expired: "expired", catalog: "catalogs", volume: "volumes", record: "records", program: "programs" } as const;
const ENDINGS = {
  archive: ".manifest",
  checkpoint: ".manifest",
  expired: ".manifest",
  catalog: ".ndjson.zst.age",
  volume: ".tar.zst.age",
  record: ".record",
  program: ".note",
} as const;

const HOST = /^[a-z0-9][a-z0-9.-]{0,62}$/;

export function isHostLabel(text: string): boolean {
  return HOST.test(text);
}

/** `hosts/<host>/<folder>/` of one kind, for listings. */
export function keyPrefix(host: string, kind: KeyKind): string {
  return `hosts/${host}/${FOLDERS[kind]}/`;
}

export function objectKey(host: string, kind: KeyKind, id: string): string {
  return keyPrefix(host, kind) + id + ENDINGS[kind];
}

/** A small object by which a host tries out its rights; no archive knows of it. */
export function probeKey(host: string, writer: string): string {
  return `hosts/${host}/probes/${writer}.probe`;
}

/** Where the program itself lies, by its digest; the notes of hosts name it. */
export function programKey(sha256: string): string {
  return `program/${sha256}`;
}

/** Takes a key apart; null for a key of any other form: a foreign object, which is left alone. */
export function parseObjectKey(key: string): { host: string; kind: KeyKind; id: string } | null {
  const parts = key.split("/");
  const [top, host, folder, name] = parts;
  if (parts.length !== 4 || top !== "hosts" || host === undefined || folder === undefined || name === undefined) return null;
  if (!isHostLabel(host)) return null;
  for (const kind of Object.keys(FOLDERS) as KeyKind[]) {
    if (FOLDERS[kind] !== folder || !name.endsWith(ENDINGS[kind])) continue;
    const id = name.slice(0, -ENDINGS[kind].length);
    return isId(id) ? { host, kind, id } : null;
  }
  return null;
}
