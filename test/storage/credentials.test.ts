import { chmodSync, chownSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { resolveCredentials } from "../../src/storage/credentials.ts";
import { parseRegionUrl, type S3Url } from "../../src/storage/region-url.ts";

const folder = mkdtempSync(join(tmpdir(), "coldkeep-credentials-"));
afterAll(() => rmSync(folder, { recursive: true }));

const INI = `# comment
[default]
aws_access_key_id = AKDEFAULT
aws_secret_access_key=secret/with=signs+

[other]
aws_access_key_id=AKOTHER
aws_secret_access_key=othersecret
aws_session_token = token

[half]
aws_access_key_id = AKHALF
`;

function file(name: string, mode = 0o600, text = INI): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  chmodSync(path, mode);
  return path;
}

function url(parameters = ""): S3Url {
  const parsed = parseRegionUrl(`s3://bucket?endpoint=http://127.0.0.1:1${parameters}`);
  if (parsed.kind !== "s3") throw new Error("not S3");
  return parsed;
}

describe("order of sources", () => {
  const path = file("keys");

  test("the region's own variables win, with the name in capitals and - and . as _", async () => {
    const environment = {
      COLDKEEP_EU_CENTRAL_1_ACCESS_KEY_ID: "AK",
      COLDKEEP_EU_CENTRAL_1_SECRET_ACCESS_KEY: "SK",
      COLDKEEP_EU_CENTRAL_1_SESSION_TOKEN: "ST",
    };
    expect(await resolveCredentials("eu-central.1", url(`&credentials-file=${path}`), environment)).toEqual({
      kind: "keys",
      keys: { accessKeyId: "AK", secretAccessKey: "SK", sessionToken: "ST" },
    });
  });

  test("then the file, its default section or the one named", async () => {
    const keys = { accessKeyId: "AKDEFAULT", secretAccessKey: "secret/with=signs+" };
    expect(await resolveCredentials("eu", url(`&credentials-file=${path}`), {})).toEqual({ kind: "keys", keys });
    expect(await resolveCredentials("eu", url(`&credentials-file=${path}&profile=other`), {})).toEqual({
      kind: "keys",
      keys: { accessKeyId: "AKOTHER", secretAccessKey: "othersecret", sessionToken: "token" },
    });
    const bare = file("bare", 0o600, "aws_access_key_id=A\naws_secret_access_key=B\n");
    expect(await resolveCredentials("eu", url(`&credentials-file=${bare}`), {})).toMatchObject({ keys: { accessKeyId: "A", secretAccessKey: "B" } });
  });

  test("then the profile, then the SDK's chain", async () => {
    expect(await resolveCredentials("eu", url("&profile=work"), {})).toEqual({ kind: "profile", profile: "work" });
    expect(await resolveCredentials("eu", url(), { AWS_ACCESS_KEY_ID: "x" })).toEqual({ kind: "chain" });
  });
});

describe("refusals", () => {
  const refused = (path: string, parameters = ""): Promise<unknown> => resolveCredentials("eu", url(`&credentials-file=${path}${parameters}`), {});

  test("half a pair names the other half", async () => {
    await expect(resolveCredentials("eu", url(), { COLDKEEP_EU_ACCESS_KEY_ID: "x" })).rejects.toMatchObject({
      code: "E_CREDENTIALS",
      message: expect.stringContaining("COLDKEEP_EU_SECRET_ACCESS_KEY") as string,
    });
  });

  test.each([0o640, 0o604, 0o660, 0o601, 0o666])("a file of mode %o", async (mode) => {
    const path = file(`mode-${mode}`, mode);
    await expect(refused(path)).rejects.toMatchObject({ code: "E_CREDENTIALS", hint: `Run 'chmod 600 ${path}'.` });
  });

  test("a link, a folder, an absent and an oversized file", async () => {
    const link = join(folder, "link");
    symlinkSync(file("target"), link);
    await expect(refused(link)).rejects.toMatchObject({ code: "E_CREDENTIALS", message: expect.stringContaining("symbolic link") as string });
    await expect(refused(folder)).rejects.toMatchObject({ code: "E_CREDENTIALS" });
    await expect(refused(join(folder, "absent"))).rejects.toMatchObject({ code: "E_CREDENTIALS" });
    await expect(refused(file("large", 0o600, "#".repeat(300_000)))).rejects.toMatchObject({ code: "E_CREDENTIALS" });
  });

  // Only root can give a file away.
  if (process.getuid?.() === 0) {
    test("a file of another user", async () => {
      const path = file("foreign");
      chownSync(path, 12_345, 0);
      await expect(refused(path)).rejects.toMatchObject({ code: "E_CREDENTIALS", message: expect.stringContaining("12345") as string });
    });
  }

  test("an absent section and a missing key, without showing what is there", async () => {
    const path = file("sections");
    await expect(refused(path, "&profile=othre")).rejects.toMatchObject({ hint: expect.stringContaining('Did you mean "other"') as string });
    await expect(refused(path, "&profile=half")).rejects.toMatchObject({ message: expect.not.stringContaining("AKHALF") as string });
  });
});
