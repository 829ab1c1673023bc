/** Defects put into a copy of the sources on purpose: the suites must notice each. What no test notices no test protects. */
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { fileTempDir } from "../support/temp-dir.ts";

const root = resolve(import.meta.dirname, "../..");

/** Another Vitest is started within, on a busy machine. */
const LIMIT_MS = 400_000;

type Mutation = {
  what: string;
  file: string;
  from: string;
  to: string;
  /** A test file that is about it, its project, and the part of the test's name. */
  by: { project: "unit" | "program" | "faults"; path: string; name: string };
};

const MUTATIONS: Mutation[] = [
  {
    what: "the manifest is put first, before anybody looked whether its objects are there",
    file: "engine/region-copy.ts",
    from: "  let lookedUpMs = Date.now();\n",
    to: "  await putManifest(region, copy);\n  let lookedUpMs = Date.now();\n",
    by: { project: "faults", path: "test/faults/backup-regions.test.ts", name: "one that answers again before the run ends" },
  },
  {
    what: "a manifest's signature is not checked",
    file: "engine/trust.ts",
    from: ".find((each) => verifySignature(each, message, lines.signature));",
    to: ".find((each) => each !== \"\" || verifySignature(each, message, lines.signature));",
    by: { project: "unit", path: "test/engine/prune/prune.test.ts", name: "while a manifest is signed by nobody known" },
  },
  {
    what: "the tag of a range is not checked",
    file: "codec/age-payload.ts",
    from: "plain.subarray(from, from + CHUNK_BYTES))) continue;",
    to: "plain.subarray(from, from + CHUNK_BYTES)) || i >= 0) continue;",
    by: { project: "unit", path: "test/codec/age-payload.test.ts", name: "" },
  },
  {
    what: "prune knows no grace",
    file: "policy/grace.ts",
    from: "export const GRACE_MS = 72 * 3_600_000;",
    to: "export const GRACE_MS = 0 * 3_600_000;",
    by: { project: "unit", path: "test/engine/prune/prune.test.ts", name: "a plan changes nothing; manifests go at once" },
  },
  {
    what: "prune goes on while a region is silent",
    file: "engine/prune.ts",
    from: "  if (obstacle !== undefined) return",
    to: '  if (obstacle !== undefined && obstacle.code !== "E_REGION") return',
    by: { project: "unit", path: "test/engine/prune/prune.test.ts", name: "while a region is silent" },
  },
  {
    what: "an object's digest is not compared before it is copied to another region",
    file: "engine/object-source.ts",
    from: "if (sha256Hex(bytes) !== object.sha256)",
    to: "if (sha256Hex(bytes).length !== object.sha256.length)",
    by: { project: "unit", path: "test/engine/restore/object-source.test.ts", name: "a whole object comes from the first region" },
  },
];

/** Sources and tests as they are, with the installed packages. */
let copy: string;

beforeAll(() => {
  copy = fileTempDir();
  for (const name of ["src", "test", "bin", "package.json", "tsconfig.json"]) cpSync(join(root, name), join(copy, name), { recursive: true });
  symlinkSync(join(root, "node_modules"), join(copy, "node_modules"));
  mkdirSync(join(copy, "dist"));
});

function suite({ by }: Mutation): { status: number | null; output: string } {
  const vitest = join(root, "node_modules/vitest/vitest.mjs");
  const args = [vitest, "run", "--config", "test/vitest.config.ts", "--project", by.project, by.path, ...(by.name === "" ? [] : ["-t", by.name])];
  // The sources are what is changed, so no build of them may be tested in their place.
  const env = { ...process.env, COLDKEEP_TEST_PROGRAM: "", NO_COLOR: "1" };
  const done = spawnSync(process.execPath, args, { cwd: copy, encoding: "utf8", env, maxBuffer: 1 << 26 });
  return { status: done.status, output: done.stdout + done.stderr };
}

describe("a defect is noticed", () => {
  test.each(MUTATIONS)("$what", (mutation) => {
    const path = join(copy, "src", mutation.file);
    const sound = readFileSync(path, "utf8");
    expect(sound.split(mutation.from), `${mutation.file} has changed: this defect is to be put in another way`).toHaveLength(2);
    writeFileSync(path, sound.replace(mutation.from, () => mutation.to));
    try {
      const { status, output } = suite(mutation);
      expect(status, output).toBe(1);
      // Failed by a test, not for a reason of its own.
      expect(output).toMatch(/Tests .*\d+ failed/);
    } finally {
      writeFileSync(path, sound);
    }
  }, LIMIT_MS);

  test("and the same tests pass without it", () => {
    for (const project of ["unit", "faults"] as const) {
      const [first] = MUTATIONS.filter(({ by }) => by.project === project);
      if (first === undefined) throw new Error(project);
      const { status, output } = suite(first);
      expect(status, output).toBe(0);
    }
  }, LIMIT_MS);
});
