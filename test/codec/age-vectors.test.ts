import { inflateSync } from "node:zlib";
import * as vectors from "cctv-age";
import { describe, expect, test } from "vitest";
import { headLength, openHeader } from "../../src/codec/age-header.ts";
import { openWhole } from "../../src/codec/age-payload.ts";
import { sha256Hex } from "../../src/codec/digest.ts";
import { ColdkeepError, type ErrorCode } from "../../src/errors.ts";

type Vector = { name: string; fields: Map<string, string>; identities: string[]; file: Buffer };

function parseVector(name: string, bytes: Uint8Array): Vector {
  const whole = Buffer.from(bytes);
  const end = whole.indexOf("\n\n");
  const fields = new Map<string, string>();
  const identities: string[] = [];
  for (const line of whole.toString("latin1", 0, end).split("\n")) {
    const colon = line.indexOf(": ");
    const [key, value] = [line.slice(0, colon), line.slice(colon + 2)];
    if (key === "identity") identities.push(value);
    else fields.set(key, value);
  }
  const body = whole.subarray(end + 2);
  return { name, fields, identities, file: fields.get("compressed") === "zlib" ? inflateSync(body) : body };
}

/** coldkeep never writes or reads armor, nor files encrypted to a passphrase: 33 and 25 of the 143 vectors. */
function isUsed({ fields }: Vector): boolean {
  return fields.get("armored") !== "yes" && !fields.has("passphrase");
}

const EXPECTED_CODES: Record<string, readonly ErrorCode[]> = {
  "no match": ["E_IDENTITY"],
  "HMAC failure": ["E_FORMAT"],
  "header failure": ["E_FORMAT"],
  "payload failure": ["E_OBJECT", "E_FORMAT"],
};

async function decrypt({ identities, file }: Vector): Promise<Buffer> {
  const end = headLength(file);
  const payloadKey = await openHeader(file.subarray(0, end), identities);
  return openWhole(file.subarray(end), payloadKey);
}

const all = Object.entries(vectors).map(([name, bytes]) => parseVector(name, bytes));
const used = all.filter(isUsed);

describe("the age test vectors (C2SP CCTV)", () => {
  test("none but armored and passphrase ones are left out", () => {
    const leftOut = all.filter((vector) => !used.includes(vector)).map(({ name }) => name);
    expect(leftOut.filter((name) => !/^(armor|scrypt)/.test(name))).toEqual([]);
    expect([all.length, used.length]).toEqual([143, 85]);
  });

  test.each(used)("$name", async (vector) => {
    const expected = vector.fields.get("expect") ?? "";
    const outcome = await decrypt(vector).catch((error: unknown) => error);
    if (expected === "success") {
      expect(Buffer.isBuffer(outcome) && sha256Hex(outcome)).toBe(vector.fields.get("payload"));
    } else {
      expect(outcome).toBeInstanceOf(ColdkeepError);
      expect(EXPECTED_CODES[expected]).toContain(outcome instanceof ColdkeepError && outcome.code);
    }
  });
});
