import { expect, test } from "vitest";
import { objectsOpened } from "../../src/policy/recipients.ts";
import { replacedRecipient } from "../../src/policy/rotation.ts";

test("the recipient to replace is the one whose identity is at hand, or the one that was named", () => {
  expect(replacedRecipient(["a", "b"], ["x", "b"], undefined)).toBe("b");
  expect(replacedRecipient(["a", "b"], ["a", "b"], "a")).toBe("a");
  expect(() => replacedRecipient(["a", "b"], ["a", "b"], undefined)).toThrow(expect.objectContaining({ code: "E_USAGE", hint: expect.stringContaining("--replaces: a, b") }));
  expect(() => replacedRecipient(["a"], ["x"], undefined)).toThrow(expect.objectContaining({ code: "E_REFUSED" }));
  expect(() => replacedRecipient(["a"], ["x"], "x")).toThrow(expect.objectContaining({ code: "E_USAGE" }));
});

test("an archive opens whole where an identity is in each of its recipient sets", () => {
  expect(objectsOpened([["a", "b"], ["b", "c"]], new Set(["b"]))).toBe(true);
  expect(objectsOpened([["a", "b"], ["c"]], new Set(["b"]))).toBe(false);
  expect(objectsOpened([], new Set())).toBe(true);
});
