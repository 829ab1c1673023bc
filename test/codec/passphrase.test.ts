/** Sealed texts against the `age` program, which wants a terminal for a passphrase. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openText, sealText } from "../../src/codec/passphrase.ts";
import { tempDir } from "../support/temp-dir.ts";
import { typeAt } from "../support/type-at.ts";

const PASSPHRASE = "five words nobody guesses";

test("age opens what was sealed here, and the other way round; a wrong passphrase and damage are told apart", async () => {
  const dir = tempDir();
  const [sealed, plain, theirs] = ["sealed.age", "plain.txt", "theirs.age"].map((name) => join(dir, name)) as [string, string, string];
  const text = "AGE-SECRET-KEY-1 stands here\nand ünïcode\n";
  const armored = await sealText(text, PASSPHRASE);
  writeFileSync(sealed, armored);
  await typeAt(["age", "-d", "-o", plain, sealed], PASSPHRASE);
  expect(readFileSync(plain, "utf8")).toBe(text);
  await typeAt(["age", "-p", "-a", "-o", theirs, plain], PASSPHRASE);
  expect(await openText(readFileSync(theirs, "utf8"), PASSPHRASE)).toBe(text);
  await expect(openText(armored, "six words nobody guesses")).rejects.toMatchObject({ code: "E_KIT", message: expect.stringContaining("passphrase does not open") });
  const lines = armored.split("\n");
  const middle = lines[2] ?? "";
  await expect(openText(lines.with(2, `${middle.slice(0, 20)}*${middle.slice(21)}`).join("\n"), PASSPHRASE)).rejects.toMatchObject({ code: "E_KIT", message: expect.stringContaining("damaged") });
}, 90_000);
