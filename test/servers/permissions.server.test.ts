/** The policies of docs/permissions.md, read from that page and tried on a real server: what works with them, and what is refused. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Client } from "minio";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Rgw, type S3Endpoint, type S3Keys, startRgw } from "../support/rgw.ts";
import { fileTempDir } from "../support/temp-dir.ts";
import { Host, minioOf } from "./rgw-vault.ts";

const ROLES = ["host", "reader", "operator", "pruner", "drill machine"] as const;
type Role = (typeof ROLES)[number];
const BUCKETS = ["plain", "versioned"] as const;
/** How RGW calls each user of the policies. */
const USERS: Record<Role, string> = { host: "web1", reader: "reader", operator: "operator", pruner: "pruner", "drill machine": "drill" };

let rgw: Rgw;
let host: Host;
const keys: Partial<Record<Role, S3Keys>> = {};

function endpoint(): S3Endpoint {
  const [found] = rgw.endpoints;
  if (found === undefined) throw new Error("no endpoint");
  return found;
}

function keysOf(role: Role): S3Keys {
  const found = keys[role];
  if (found === undefined) throw new Error(`no keys of ${role}`);
  return found;
}

const client = (role: Role): Client => minioOf({ ...endpoint(), ...keysOf(role) });
const owner = (): Client => minioOf(endpoint());

function environment(role: Role): Record<string, string> {
  const { accessKeyId, secretAccessKey } = keysOf(role);
  return Object.fromEntries(BUCKETS.flatMap((name) => [[`COLDKEEP_${name.toUpperCase()}_ACCESS_KEY_ID`, accessKeyId], [`COLDKEEP_${name.toUpperCase()}_SECRET_ACCESS_KEY`, secretAccessKey]]));
}

/** The statements below a heading of the page, with the principal that a bucket policy wants. */
function statements(page: string, role: Role, bucket: string): Record<string, unknown>[] {
  const section = new RegExp(`^## ${role}\n[^]*?\`\`\`json\n([^]*?)\n\`\`\``, "im").exec(page)?.[1];
  if (section === undefined) throw new Error(`docs/permissions.md has no policy of ${role}`);
  const read = JSON.parse(section.replaceAll(":::bucket", `:::${bucket}`)) as Record<string, unknown>[];
  return read.map((statement) => ({ ...statement, Principal: { AWS: [`arn:aws:iam:::user/${USERS[role]}`] } }));
}

async function volume(bucket: string): Promise<{ key: string; versionId: string }> {
  for await (const { name, versionId } of owner().listObjects(bucket, "vault/hosts/web1/volumes/", true, { IncludeVersion: true }) as AsyncIterable<{ name: string; versionId: string }>) return { key: name, versionId };
  throw new Error(`no volume in ${bucket}`);
}

beforeAll(async () => {
  rgw = await startRgw([{ name: "north" }]);
  for (const role of ROLES) keys[role] = await rgw.addUser(0, USERS[role]);
  const page = readFileSync(new URL("../../docs/permissions.md", import.meta.url), "utf8");
  for (const bucket of BUCKETS) {
    await owner().makeBucket(bucket);
    await owner().setBucketPolicy(bucket, JSON.stringify({ Version: "2012-10-17", Statement: ROLES.flatMap((role) => statements(page, role, bucket)) }));
  }
  await owner().setBucketVersioning("versioned", { Status: "Enabled" });
  const folder = fileTempDir();
  mkdirSync(join(folder, "source"));
  writeFileSync(join(folder, "source/a.txt"), "alpha");
  const url = (bucket: string): string => `${bucket}=s3://${bucket}/vault?endpoint=${endpoint().endpoint}&aws-region=north`;
  // Setting up is the operator's; from then on the host has its own keys.
  host = await Host.create(folder, environment("operator"), ["--host", "web1", "--source", join(folder, "source"), ...BUCKETS.flatMap((bucket) => ["--region", url(bucket)])]);
  host.configure(/^( {4}url: .*)$/gm, "$1\n    retry: 1s");
}, 120_000);
afterAll(() => rgw.stop());

const asHost = (): { env: Record<string, string> } => ({ env: environment("host") });

describe("with the host's keys", () => {
  test("backups, checks and all that a night needs", async () => {
    await host.backup(0, asHost());
    writeFileSync(join(host.folder, "source/b.txt"), "beta");
    await host.backup(0, asHost());
    for (const verb of ["verify", "list", "status"]) await host.run([verb, "--config", host.config], 0, asHost());
    const doctor = (await host.run(["doctor", "--config", host.config], 4, asHost())).json<{ checks: { name: string; verdict: string; message: string }[] }>();
    const rights = doctor.checks.filter(({ name }) => name.endsWith(": rights"));
    expect(rights.map(({ verdict, message }) => `${verdict} ${message}`)).toEqual(Array(2).fill("ok deleting is refused, as it should be for a host"));
    await host.run(["state", "rebuild", "--config", host.config], 0, asHost());
  }, 120_000);

  test("a region that lost objects is brought up to date", async () => {
    const { archive } = await host.backup<{ archive: string }>(0, asHost());
    const { key } = await volume("plain");
    for (const gone of [`vault/hosts/web1/archives/${archive}.manifest`, key]) await client("pruner").removeObject("plain", gone);
    await host.backup(0, asHost());
    await host.run(["verify", "--all", "--config", host.config], 0, asHost());
  }, 120_000);

  test.each(BUCKETS)("nothing else: bucket %s", async (bucket) => {
    const intruder = client("host");
    const { key, versionId } = await volume(bucket);
    const before = await owner().getBucketPolicy(bucket);
    await client("operator").putObject(bucket, "vault/hosts/web2/volumes/x", "another host's");
    const list = async (prefix: string): Promise<void> => {
      for await (const _ of intruder.listObjectsV2(bucket, prefix, true)) return;
    };
    const tries: Record<string, () => Promise<unknown>> = {
      "delete an object": () => intruder.removeObject(bucket, key),
      "delete a version": () => intruder.removeObject(bucket, key, { versionId }),
      "set a lifecycle": () => intruder.setBucketLifecycle(bucket, { Rule: [{ ID: "x", Status: "Enabled", Filter: { Prefix: "" }, Expiration: { Days: 1 } }] }),
      "change the policy": () => intruder.setBucketPolicy(bucket, before),
      "remove the policy": () => intruder.setBucketPolicy(bucket, ""),
      "stop versioning": () => intruder.setBucketVersioning(bucket, { Status: "Suspended" }),
      "remove the bucket": () => intruder.removeBucket(bucket),
      "write into another host's folder": () => intruder.putObject(bucket, "vault/hosts/web2/volumes/y", "mine"),
      "read another host's folder": () => intruder.getObject(bucket, "vault/hosts/web2/volumes/x"),
      "list another host's folder": () => list("vault/hosts/web2/"),
      "list all hosts": () => list("vault/"),
      "change the marker": () => intruder.putObject(bucket, "vault/coldkeep.json", "mine"),
      "change the script": () => intruder.putObject(bucket, "vault/recover.sh", "mine"),
    };
    const allowed: string[] = [];
    for (const [what, attempt] of Object.entries(tries)) {
      const code = await attempt().then(() => "allowed", (error: { code?: string }) => error.code ?? JSON.stringify(error));
      if (code !== "AccessDenied") allowed.push(`${what}: ${code}`);
    }
    expect(allowed).toEqual([]);
    expect((await client("reader").statObject(bucket, key)).size).toBeGreaterThan(0);
    expect(await owner().getBucketPolicy(bucket)).toBe(before);
  });
});

test("with the reader's keys: restores, and writes nothing", async () => {
  const env = { env: environment("reader") };
  await host.run(["restore", "--kit", host.kit, "--to", join(host.folder, "out")], 0, env);
  expect(readFileSync(join(host.folder, "out", host.folder, "source/b.txt"), "utf8")).toBe("beta");
  await host.run(["verify", "--level", "content", "--kit", host.kit], 0, env);
  // What is hidden in one bucket is found behind its delete marker, without the other.
  await owner().removeObject("versioned", (await volume("versioned")).key);
  await host.run(["restore", "--kit", host.kit, "--region", "versioned", "--to", join(host.folder, "hidden")], 0, env);
  expect(readFileSync(join(host.folder, "hidden", host.folder, "source/b.txt"), "utf8")).toBe("beta");
  await expect(client("reader").putObject("plain", "vault/hosts/web1/volumes/x", "mine")).rejects.toMatchObject({ code: "AccessDenied" });
  await expect(client("reader").removeObject("plain", (await volume("plain")).key)).rejects.toMatchObject({ code: "AccessDenied" });
}, 120_000);

test("with a drill machine's keys: drills and records it, and writes nothing else", async () => {
  const run = await host.run(["drill", "--kit", host.kit], 0, { env: environment("drill machine") });
  expect(run.json<{ result: string; record: string | null }>()).toMatchObject({ result: "passed", record: expect.any(String) });
  await expect(client("drill machine").putObject("plain", "vault/hosts/web1/volumes/x", "mine")).rejects.toMatchObject({ code: "AccessDenied" });
  await expect(client("drill machine").removeObject("plain", (await volume("plain")).key)).rejects.toMatchObject({ code: "AccessDenied" });
}, 120_000);

test("with the operator's keys: puts a damaged object right, says things in records, and deletes nothing", async () => {
  const { key, versionId } = await volume("versioned");
  await client("operator").putObject("versioned", key, "damaged");
  await host.run(["verify", "--config", host.config], 3, asHost());
  await host.run(["repair", "--kit", host.kit], 0, { env: environment("operator") });
  await host.run(["verify", "--config", host.config], 0, asHost());
  await host.run(["host", "retire", "web1", "--kit", host.kit], 0, { env: environment("operator") });
  // The host itself may put into its folder, but no reader believes what it says there.
  for (const options of [{}, { versionId }]) await expect(client("operator").removeObject("versioned", key, options)).rejects.toMatchObject({ code: "AccessDenied" });
}, 120_000);

test("with the pruner's keys: prunes, deletes objects and versions, and writes nothing else", async () => {
  const pruner = client("pruner");
  await expect(pruner.putObject("versioned", "vault/hosts/web1/volumes/x", "mine")).rejects.toMatchObject({ code: "AccessDenied" });
  await expect(pruner.setBucketVersioning("versioned", { Status: "Suspended" })).rejects.toMatchObject({ code: "AccessDenied" });
  const run = await host.run(["prune", "--kit", host.kit, "--keep", "daily=1"], 0, { env: environment("pruner") });
  const [done] = run.json<{ hosts: { expire: number; failure: unknown }[] }>().hosts;
  expect(done).toMatchObject({ failure: null });
  expect(done?.expire).toBeGreaterThan(0);
  const { key, versionId } = await volume("versioned");
  await pruner.removeObject("versioned", key, { versionId });
  await expect(owner().statObject("versioned", key, { versionId })).rejects.toMatchObject({ code: "NotFound" });
  const plain = await volume("plain");
  await pruner.removeObject("plain", plain.key);
  await expect(owner().statObject("plain", plain.key)).rejects.toMatchObject({ code: "NotFound" });
});
