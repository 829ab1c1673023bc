import fc from "fast-check";
import { parseRule } from "../../src/config/retention-schema.ts";
import { describe, expect, test } from "vitest";
import { parseConfig } from "../../src/config/parse.ts";
import { configJsonSchema } from "../../src/config/schema.ts";
import { ColdkeepError } from "../../src/errors.ts";
import { MIB } from "../../src/units.ts";

const RECIPIENT = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
const TEXT = `vault: "00112233445566778899aabbccddeeff"
host: web1
regions:
  - name: north
    url: s3://bucket/prefix
  - {name: usb, url: "file:///mnt/usb", retry: 30s}
recipients:
  - ${RECIPIENT}
sources:
  - /etc//ssh/
  - path: /home
    exclude: ["*.o", "/home/*/.cache"]
state: /var/lib/coldkeep
`;

function failure(text: string): ColdkeepError {
  try {
    parseConfig(text, "c.yaml");
  } catch (error) {
    if (error instanceof ColdkeepError && error.code === "E_CONFIG") return error;
    throw error;
  }
  throw new Error(`was accepted:\n${text}`);
}

test("a configuration becomes a value in bytes and milliseconds, with defaults", () => {
  expect(parseConfig(TEXT, "c.yaml")).toEqual({
    vault: "00112233445566778899aabbccddeeff",
    host: "web1",
    regions: [
      { name: "north", url: "s3://bucket/prefix", retryMs: 120_000, deadlineMs: 43_200_000, bandwidth: {}, lock: null, storageClass: null },
      { name: "usb", url: "file:///mnt/usb", retryMs: 30_000, deadlineMs: 43_200_000, bandwidth: {}, lock: null, storageClass: null },
    ],
    copies: 1,
    recipients: [RECIPIENT],
    signers: [],
    sources: [
      { path: "/etc/ssh", exclude: [] },
      { path: "/home", exclude: ["*.o", "/home/*/.cache"] },
    ],
    state: "/var/lib/coldkeep",
    objectives: { rpoMs: 26 * 3_600_000, rtoMs: null, verifyEveryMs: null, drillEveryMs: null },
    safety: { minSizeBytes: null, maxChange: 0.5, mustExist: [] },
    compressionLevel: 3,
    volumeSizeBytes: 32 * MIB,
    memoryBytes: null,
    readers: null,
    schedule: { at: "02:30", randomDelayMs: 2_700_000 },
    retention: null,
    machine: { profile: true, ignoreUncovered: [] },
    health: [],
    databases: [],
    commands: [],
    hooks: [],
    notify: [],
    metrics: null,
    log: null,
  });
  const given = parseConfig(`${TEXT}copies: 2\ncompression: 19\nvolumeSize: 8MiB\nmemory: 1GiB\nreaders: 1\n`, "c.yaml");
  expect(given).toMatchObject({ copies: 2, compressionLevel: 19, volumeSizeBytes: 8 * MIB, memoryBytes: 1024 * MIB, readers: 1 });
});

test("a region's bandwidth is one size for both ways, or one for each", () => {
  const withLimit = (text: string): unknown => parseConfig(TEXT.replace("retry: 30s", `bandwidth: ${text}`), "c.yaml").regions[1]?.bandwidth;
  expect(withLimit("20MiB")).toEqual({ up: 20 * MIB, down: 20 * MIB });
  expect(withLimit("{up: 5MB}")).toEqual({ up: 5_000_000 });
  expect(withLimit("{up: 5MiB, down: 1GiB}")).toEqual({ up: 5 * MIB, down: 1024 * MIB });
});

test("a bucket may have a lock and a storage class", () => {
  const [bucket] = parseConfig(TEXT.replace("url: s3://bucket/prefix", "lock: {mode: governance, days: 36500}\n    storageClass: DEEP_ARCHIVE\n    url: s3://bucket/prefix"), "c.yaml").regions;
  expect(bucket).toMatchObject({ lock: { mode: "governance", days: 36_500 }, storageClass: "DEEP_ARCHIVE" });
});

describe("every mistake is named at its line, column and key", () => {
  const cases: [string, string, RegExp, RegExp?][] = [
    ["a mistyped key", TEXT.replace("host:", "hots:"), /^c\.yaml:2:1: hots: is not a known key/, /Did you mean "host"\?/],
    ["a mistyped key inside", TEXT.replace("exclude:", "exclud:"), /^c\.yaml:12:5: sources\[1\]\.exclud: /, /"exclude"/],
    ["a missing key", TEXT.replace(/state:.*\n/, ""), /state: is missing/],
    ["a key twice", `${TEXT}host: x\n`, /^c\.yaml:14:1: a key stands here a second time/],
    ["a second document", `${TEXT}---\nx: 1\n`, /second document/],
    ["a size too small", `${TEXT}memory: 3MiB\n`, /^c\.yaml:14:9: memory: 3MiB is not between 64\.0 MiB and 16\.0 GiB/],
    ["no size", `${TEXT}volumeSize: 12 parsecs\n`, /^c\.yaml:14:13: volumeSize: "12 parsecs" is not a size/],
    ["a bandwidth too small", TEXT.replace("retry: 30s", "bandwidth: 1KiB"), /^c\.yaml:6:52: regions\[1\]\.bandwidth: 1KiB is not between 16\.0 KiB/],
    ["a mistyped direction", TEXT.replace("retry: 30s", "bandwidth: {donw: 1MiB}"), /^c\.yaml:6:53: regions\[1\]\.bandwidth\.donw: is not a known key/, /Did you mean "down"\?/],
    ["a bandwidth of one direction that is none", TEXT.replace("retry: 30s", "bandwidth: {up: much}"), /^c\.yaml:6:57: regions\[1\]\.bandwidth\.up: "much" is not a size/],
    ["a bandwidth that is a list", TEXT.replace("retry: 30s", "bandwidth: [1MiB]"), /^c\.yaml:6:52: regions\[1\]\.bandwidth: must be a size, or `up` and `down`/],
    ["a lock of a directory", TEXT.replace("retry: 30s", "lock: {mode: compliance, days: 30}"), /regions\[1\]\.lock: needs a bucket, and file:\/\/\/mnt\/usb is a directory/, /Take `lock` out/],
    ["a storage class of a directory", TEXT.replace("retry: 30s", "storageClass: GLACIER"), /regions\[1\]\.storageClass: needs a bucket/],
    ["a storage class said twice", TEXT.replace("url: s3://bucket/prefix", "storageClass: GLACIER\n    url: s3://bucket/prefix?storage-class=GLACIER"), /regions\[0\]\.storageClass: stands here and as storage-class/],
    ["a lock of no day", TEXT.replace("retry: 30s", "lock: {mode: compliance, days: 0}"), /regions\[1\]\.lock\.days: /],
    ["a lock of too many days", TEXT.replace("retry: 30s", "lock: {mode: compliance, days: 36501}"), /regions\[1\]\.lock\.days: /],
    ["a mistyped key of a lock", TEXT.replace("retry: 30s", "lock: {mode: compliance, dyas: 3}"), /regions\[1\]\.lock\.dyas: is not a known key/, /Did you mean "days"\?/],
    ["a duration without its unit", TEXT.replace("30s", "30"), /^c\.yaml:6:48: regions\[1\]\.retry: /],
    ["a vault id without quotes", TEXT.replace('"00112233445566778899aabbccddeeff"', "11112233445566778899001122334455"), /^c\.yaml:1:8: vault: must be text/, /quotes/],
    ["a relative source", TEXT.replace("/etc//ssh/", "etc"), /^c\.yaml:10:5: sources\[0\]: "etc" is not an absolute path/],
    ["a source with dots", TEXT.replace("path: /home", "path: /home/../x"), /^c\.yaml:11:11: sources\[1\]\.path: .*\.\./],
    ["a source twice", TEXT.replace("/etc//ssh/", "/home/"), /^c\.yaml:11:5: sources\[1\]: .*second time/],
    ["a broken pattern", TEXT.replace("*.o", "[a"), /^c\.yaml:12:15: sources\[1\]\.exclude\[0\]: .*"\[a"/],
    ["two regions of one name", TEXT.replace("name: usb", "name: north"), /^c\.yaml:6:5: regions\[1\]: the region "north"/],
    ["two regions in one place", TEXT.replace("file:///mnt/usb", "s3://bucket/prefix"), /^c\.yaml:6:5: regions\[1\]: the URL/],
    ["a bad region name", TEXT.replace("name: usb", "name: USB"), /^c\.yaml:6:12: regions\[1\]\.name: /],
    ["another kind of URL", TEXT.replace("s3://bucket", "ftp://bucket"), /^c\.yaml:5:10: regions\[0\]\.url: /, /s3:\/\//],
    ["more copies than regions", `${TEXT}copies: 3\n`, /^c\.yaml:14:9: copies: asks for 3/],
    ["a level out of range", `${TEXT}compression: 20\n`, /^c\.yaml:14:14: compression: must be at most 19/],
    ["no recipient", TEXT.replace(`recipients:\n  - ${RECIPIENT}`, "recipients: []"), /^c\.yaml:7:13: recipients: .*at least one/],
    ["mixed recipients", TEXT.replace("recipients:\n", `recipients:\n  - age1pq1${"q".repeat(1952)}\n`), /^c\.yaml:9:5: recipients\[1\]: mixes/],
    ["a signer without a role", `${TEXT}signers: ["ed25519:${Buffer.alloc(32).toString("base64")}"]\n`, /^c\.yaml:14:11: signers\[0\]: /],
    ["an alias without its anchor", TEXT.replace("web1", "*nobody"), /alias/],
    ["a foreign tag", TEXT.replace("web1", "!!js/function 'x'"), /tag/],
    ["broken YAML", "a: b: c", /^c\.yaml:1:/],
    ["nothing", "", /is empty/],
    ["a list", "- 1", /must be a map of keys/],
  ];
  test.each(cases)("%s", (_name, text, message, hint) => {
    const error = failure(text);
    expect(error.message).toMatch(message);
    if (hint) expect(error.hint).toMatch(hint);
  });

  test("the number of further problems is told", () => {
    expect(failure(`${TEXT.replace("web1", "Web_1")}copies: 9\nx: 1\n`).message).toMatch(/\(and [12] more problems?\)$/);
  });
});

test("a secret key put in the wrong place is refused and never repeated", () => {
  const secret = `AGE-SECRET-KEY-1${"Q".repeat(58)}`;
  const texts = [TEXT.replace(RECIPIENT, secret), TEXT.replace("web1", secret), TEXT.replace("s3://bucket/prefix", secret), TEXT.replace("/etc//ssh/", secret), `${TEXT}${secret}: 1\n`, `${TEXT}"${secret}\n`];
  for (const text of texts) {
    const error = failure(text);
    expect(`${error.message} ${error.hint}`).not.toContain("QQQQ");
  }
});

test("aliases that multiply are refused, quickly", () => {
  const levels = Array.from({ length: 12 }, (_, level) => `l${level + 1}: &l${level + 1} [${Array(9).fill(`*l${level}`).join(", ")}]`);
  const before = performance.now();
  expect(failure(["l0: &l0 x", ...levels].join("\n")).message).toMatch(/alias/);
  expect(performance.now() - before).toBeLessThan(1000);
});

test("any text is a configuration or a complaint, never another failure", () => {
  const lines = TEXT.split("\n");
  const change = fc.tuple(fc.nat(lines.length - 1), fc.oneof(fc.string(), fc.constantFrom("- x", "? [a]", "  - {}", "&a *a", "\t", "%YAML 9.9", "__proto__: 1", "<<: 1")));
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 3 }), (changes) => {
      const text = changes.reduce((changed, [at, line]) => changed.with(at, line), lines).join("\n");
      try {
        parseConfig(text, "c.yaml");
      } catch (error) {
        expect(error).toBeInstanceOf(ColdkeepError);
      }
    }),
    { numRuns: 500 },
  );
});

test("what may be unusual is a size, a share below 100 %, and paths", () => {
  const withSafety = (safety: string): unknown => parseConfig(`${TEXT}safety: ${safety}\n`, "c.yaml").safety;
  expect(withSafety("{minSize: 10MiB, maxChange: 12.5%, mustExist: [/srv//x/]}")).toEqual({ minSizeBytes: 10 * 1024 * 1024, maxChange: 0.125, mustExist: ["/srv/x"] });
  expect(withSafety('{maxChange: "off"}')).toMatchObject({ maxChange: null });
  for (const bad of ["{maxChange: 100%}", "{maxChange: 0%}", "{maxChange: much}", "{mustExist: [relative]}", "{minsize: 1}"]) expect(() => withSafety(bad)).toThrow(ColdkeepError);
});

test("the JSON Schema knows every key, and no other", () => {
  const schema = configJsonSchema();
  expect(schema["additionalProperties"]).toBe(false);
  expect(Object.keys(schema["properties"] ?? {})).toEqual(["vault", "host", "regions", "copies", "recipients", "signers", "sources", "state", "compression", "volumeSize", "memory", "readers", "safety", "schedule", "retention", "health", "machine", "databases", "commands", "hooks", "notify", "metrics", "log", "objectives"]);
  expect(schema["required"]).toEqual(["vault", "host", "regions", "recipients", "sources", "state"]);
});

test("retention is a rule with what is usual, refused where it keeps nothing or the wrong one would sign", () => {
  const retention = (text: string): unknown => parseConfig(`${TEXT}retention: ${text}\n`, "c.yaml").retention;
  const rule = { last: 0, daily: 7, weekly: 0, monthly: 0, yearly: 0, withinMs: null, keepMin: 3, timeZone: "UTC" };
  expect(retention("{daily: 7}")).toEqual({ rule, signedBy: "operator", reclaimBytes: 1024 * MIB });
  expect(retention("{daily: 7, within: 2d, keepMin: 5, timeZone: Europe/Berlin, signedBy: host}")).toEqual({ rule: { ...rule, withinMs: 172_800_000, keepMin: 5, timeZone: "Europe/Berlin" }, signedBy: "host", reclaimBytes: 1024 * MIB });
  expect(retention("{daily: 7, reclaim: off}")).toMatchObject({ reclaimBytes: null });
  const wrong: [string, RegExp][] = [
    ["{last: 7}", /retention: `last` alone keeps nothing/],
    ["{}", /retention: the rule names nothing to keep/],
    ["{daily: 7, timeZone: Mars/Olympus}", /retention\.timeZone: "Mars\/Olympus" is not a time zone/],
    ["{daily: -1}", /retention\.daily: must be at least 0/],
    ["{daily: 7, keepMin: 0}", /retention\.keepMin: must be at least 1/],
    ["{daily: 7, reclaim: much}", /retention\.reclaim: "much" is not a size/],
    ["{dayly: 7}", /retention\.dayly: is not a known key/],
  ];
  for (const [text, message] of wrong) expect(() => retention(text), text).toThrow(message);
  expect(() => retention("{dayly: 7}")).toThrow(expect.objectContaining({ hint: expect.stringContaining("daily") as string }));
  const other = TEXT.replace(/^signers:.*$/m, "") + `signers: ["host other ed25519:${Buffer.alloc(32, 7).toString("base64")}"]\nretention: {daily: 7, signedBy: host}\n`;
  expect(() => parseConfig(other, "c.yaml")).toThrow(/retention\.signedBy: cannot be `host` where `signers` names other hosts/);
  expect(parseRule("daily=7,within=2d,timeZone=Europe/Berlin")).toEqual({ ...rule, withinMs: 172_800_000, timeZone: "Europe/Berlin" });
  for (const text of ["daily=x", "weekly", "last=3", "", "keepmin=3", "daily=7,within=soon"]) expect(() => parseRule(text), text).toThrow(expect.objectContaining({ code: "E_USAGE" }));
});

test("a schedule is a time systemd and cron both know, a delay and, if asked, a verify", () => {
  const schedule = (text: string): unknown => parseConfig(`${TEXT}schedule: ${text}\n`, "c.yaml").schedule;
  expect(schedule("{at: 'Mon..Fri 23:10', randomDelay: 0s}")).toEqual({ at: "Mon..Fri 23:10", randomDelayMs: 0 });
  expect(schedule("{verify: {at: 'Sun 05:00', sample: 5}}")).toEqual({ at: "02:30", randomDelayMs: 2_700_000, verify: { at: "Sun 05:00", level: "checksum", sample: 5 } });
  const wrong: [string, RegExp][] = [
    ["{at: '2:30'}", /schedule\.at: "2:30" is not a time to run at/],
    ["{at: daily}", /"daily" is not a time/],
    ["{at: 150}", /must be a time like "02:30", in quotes/],
    ["{randomDelay: 13h}", /13h is longer than 12h/],
    ["{verify: {at: '05:00', smaple: 5}}", /schedule\.verify\.smaple: is not a known key/],
    ["{every: 1d}", /schedule\.every: is not a known key/],
  ];
  for (const [text, message] of wrong) expect(() => schedule(text)).toThrow(message);
});
