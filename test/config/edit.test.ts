import { expect, test } from "vitest";
import { addConfigSigner, replaceRecipient } from "../../src/config/edit.ts";
import { formatConfig } from "../../src/config/load.ts";
import { parseConfig } from "../../src/config/parse.ts";
import type { PinnedSigner } from "../../src/format/kit.ts";

const OLD = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
const OTHER = "age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfafg";
const FRESH = "age1t7rxyev2z3rw82stdlrrepyc39nvn86l5078zqkf5uasdy86jp6svpy7pa";
const signer = (fill: number): PinnedSigner => ({ role: "operator", key: `ed25519:${Buffer.alloc(32, fill).toString("base64")}` });
const TEXT = formatConfig({ vault: "ab".repeat(16), host: "web1", regions: [{ name: "a", url: "file:///a" }], recipients: [OLD, OTHER], sources: [{ path: "/etc", exclude: [] }], state: "/state" });
const BLOCK = TEXT.replace(`  - "${OLD}"`, `  # mine; lost in 2025, found again\n  -   ${OLD}   # daily`);

test.each([
  ["as init writes it", TEXT],
  ["with comments, blanks and no quotes", BLOCK],
  ["in single quotes", TEXT.replace(`"${OLD}"`, `'${OLD}'`)],
  ["in brackets", TEXT.replace(/recipients:\n.*\n.*\n/, `recipients: [ ${OLD}, "${OTHER}" ] # both\n`)],
])("a recipient is replaced where it stands, and nothing else: %s", (_form, text) => {
  const edited = replaceRecipient(text, "x.yaml", OLD, FRESH);
  expect(parseConfig(edited, "x.yaml").recipients).toEqual([FRESH, OTHER]);
  expect(edited.replace(`"${FRESH}"`, "")).toBe(text.replace(/recipients:[^]*?sources:/, (part) => part.replace(new RegExp(`["']?${OLD}["']?`), "")));
});

test("a recipient that is written in another way is left to a person, with the words to write", () => {
  const folded = TEXT.replace(`"${OLD}"`, `>-\n    ${OLD}`);
  expect(parseConfig(folded, "x.yaml").recipients).toEqual([OLD, OTHER]);
  expect(() => replaceRecipient(folded, "x.yaml", OLD, FRESH)).toThrow(expect.objectContaining({ code: "E_CONFIG", hint: expect.stringContaining(FRESH) }));
});

test.each([
  ["there is none", TEXT, 0],
  ["there is a list", `${TEXT}\nsigners:\n  # the owner's\n  - "operator ${signer(1).key}" # 2025\n`, 1],
  ["there is one in brackets", `${TEXT}signers: ["operator ${signer(1).key}"]\n`, 1],
  ["there are empty brackets", `${TEXT}signers: []\n`, 0],
  ["the text has no end of line", TEXT.trimEnd(), 0],
])("a signer is added where %s", (_where, text, before) => {
  const edited = addConfigSigner(text, "x.yaml", signer(2));
  expect(parseConfig(edited, "x.yaml").signers).toEqual([signer(2), ...(before === 1 ? [signer(1)] : [])]);
  for (const line of text.trimEnd().split("\n").filter((each) => !each.startsWith("signers: ["))) expect(edited).toContain(line);
});

test("a signer is not added where the key stands without a list", () => {
  expect(() => addConfigSigner(`${TEXT}\nsigners: &a [*b]\n`, "x.yaml", signer(2))).toThrow(expect.objectContaining({ code: "E_CONFIG" }));
});
