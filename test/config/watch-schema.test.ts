/** notify, metrics, log and objectives: what they become, what is refused, and what is understood of a broken file. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parseConfig } from "../../src/config/parse.ts";
import { configJsonSchema } from "../../src/config/schema.ts";
import { looseSurroundings, surroundingsOf } from "../../src/config/surroundings.ts";
import { DEFAULT_OBJECTIVES } from "../../src/policy/readiness.ts";
import { ColdkeepError } from "../../src/errors.ts";
import { tempDir } from "../support/temp-dir.ts";

const TEXT = `vault: "00112233445566778899aabbccddeeff"
host: web1
regions: [{name: north, url: s3://bucket/prefix}]
recipients: [age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p]
sources: [/etc]
state: /var/lib/coldkeep
`;
const WATCHED = `notify:
  - ping: {urlFile: /etc/coldkeep/ping, lines: 20}
  - webhook: {url: "https://hooks.example.net/in", headersFile: /etc/coldkeep/headers}
    on: [success, fail]
    verbs: [backup, state rebuild]
metrics: {textfile: /srv//metrics/coldkeep.prom}
log: {file: /var/log/coldkeep.log}
objectives: {rpo: 26h}
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

test("becomes targets with their defaults", () => {
  expect(surroundingsOf(parseConfig(TEXT + WATCHED, "c.yaml"))).toEqual({
    host: "web1",
    vault: "00112233445566778899aabbccddeeff",
    state: "/var/lib/coldkeep",
    regions: ["north"],
    notify: [
      { kind: "ping", address: { urlFile: "/etc/coldkeep/ping" }, lines: 20, on: ["start", "success", "partial", "fail"], verbs: null },
      { kind: "webhook", address: { url: "https://hooks.example.net/in" }, headersFile: "/etc/coldkeep/headers", on: ["success", "fail"], verbs: ["backup", "state rebuild"] },
    ],
    metrics: { textfile: "/srv/metrics/coldkeep.prom" },
    log: { file: "/var/log/coldkeep.log", level: "info" },
    objectives: DEFAULT_OBJECTIVES,
  });
  expect(JSON.stringify(configJsonSchema())).toContain("headersFile");
});

describe("every mistake is named", () => {
  const cases: [string, string, RegExp, RegExp?][] = [
    ["neither address", "notify: [{ping: {lines: 3}}]", /notify\[0\]\.ping: needs either `url` or `urlFile`/, /0600/],
    ["both addresses", 'notify: [{ping: {url: "https://a.example", urlFile: /x}}]', /needs either `url` or `urlFile`/],
    ["neither kind", "notify: [{on: [fail]}]", /notify\[0\]: needs either `ping` or `webhook`/],
    ["both kinds", "notify: [{ping: {urlFile: /x}, webhook: {urlFile: /y}}]", /needs either `ping` or `webhook`/],
    ["no address of a service", 'notify: [{ping: {url: "file:///secret-place"}}]', /url: is not the address of a service/],
    ["an unknown event", "notify: [{ping: {urlFile: /x}, on: [failure]}]", /notify\[0\]\.on\[0\]: /],
    ["a verb that is not recorded", "notify: [{ping: {urlFile: /x}, verbs: [list]}]", /notify\[0\]\.verbs\[0\]: /],
    ["a mistyped key", "notify: [{ping: {urlfile: /x}}]", /notify\[0\]\.ping\.urlfile: is not a known key/, /Did you mean "urlFile"/],
    ["a mistyped section key", "metrics: {textFile: /x}", /metrics\.textFile: is not a known key/, /"textfile"/],
    ["a relative path", "log: {file: coldkeep.log}", /log\.file: "coldkeep.log" is not an absolute path/],
    ["an objective without a unit", 'objectives: {rpo: "26"}', /objectives\.rpo: "26" is not a duration/],
  ];
  test.each(cases)("%s", (_name, text, message, hint) => {
    const error = failure(TEXT + text);
    expect(error.message).toMatch(message);
    if (hint) expect(error.hint).toMatch(hint);
    expect(`${error.message}${error.hint}`).not.toContain("secret-place");
  });
});

describe("of a configuration that cannot be loaded", () => {
  const loose = (text: string): ReturnType<typeof looseSurroundings> => {
    const path = join(tempDir(), "c.yaml");
    writeFileSync(path, text);
    return looseSurroundings(path);
  };

  test("every section that is right by itself is understood", () => {
    const whole = surroundingsOf(parseConfig(TEXT + WATCHED, "c.yaml"));
    expect(loose(`${TEXT}${WATCHED}suorces: [/x]\n`)).toEqual({ ...whole, regions: [] });
    expect(loose((TEXT + WATCHED).replace("host: web1", "host: Web 1").replace("26h", "26"))).toEqual({ ...whole, regions: [], host: null, objectives: DEFAULT_OBJECTIVES });
    expect(loose((TEXT + WATCHED).replace("on: [success, fail]", "on: [sucess]"))).toMatchObject({ notify: [], metrics: whole.metrics });
  });

  test("what is no map of keys is nothing", () => {
    expect(loose("just text")).toBeNull();
    expect(loose("")).toBeNull();
    expect(looseSurroundings("/nonexistent/c.yaml")).toBeNull();
    expect(looseSurroundings("/dev")).toBeNull();
  });
});
