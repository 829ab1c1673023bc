import { expect, test } from "vitest";
import { Secrets } from "../../src/policy/secrets.ts";

test("credentials in the environment are known, key ids and other variables are left alone", () => {
  const secrets = new Secrets({ COLDKEEP_NORTH_SECRET_ACCESS_KEY: "s3cret/key+1", AWS_SESSION_TOKEN: "session-token", COLDKEEP_NORTH_ACCESS_KEY_ID: "AKIAEXAMPLE", COLDKEEP_CONFIG: "/etc/ck.yaml", HOME: "/root/home" });
  expect(secrets.without("s3cret/key+1 session-token AKIAEXAMPLE /etc/ck.yaml /root/home")).toBe("[a secret] [a secret] AKIAEXAMPLE /etc/ck.yaml /root/home");
});

test("secret keys are known by their form", () => {
  expect(new Secrets({}).without('"AGE-SECRET-KEY-1QQQ" age-secret-key-1x ed25519-secret:abc"')).toBe('"[a secret key]" [a secret key] [a secret key]"');
});

test("of an address the tokens are secret, and plain words of its path are not", () => {
  const secrets = new Secrets({});
  secrets.learnAddress("https://user:pass-word@hooks.example.net/services/T0123456789AB/backups?token=abcdef0123456789");
  const clean = secrets.without("https://user:pass-word@hooks.example.net/services/T0123456789AB/backups?token=abcdef0123456789 T0123456789AB abcdef0123456789 pass-word services backups hooks.example.net");
  expect(clean).toBe("[a secret] [a secret] [a secret] [a secret] services backups hooks.example.net");
});

test("headers that carry a right are secret, whole and without the word before", () => {
  const secrets = new Secrets({});
  secrets.learnHeader("authorization", "Bearer short-one");
  secrets.learnHeader("x-environment", "production");
  expect(secrets.without("Bearer short-one; short-one; production")).toBe("[a secret]; [a secret]; production");
});

test("a secret is found inside of JSON too, the longer of two first", () => {
  const secrets = new Secrets({});
  for (const each of ['quo"te\\d', "abcdef", "abcdefghi"]) secrets.learn(each);
  secrets.learn("abc");
  expect(secrets.without(JSON.stringify({ text: 'quo"te\\d abcdefghi abc' }))).toBe('{"text":"[a secret] [a secret] abc"}');
});
