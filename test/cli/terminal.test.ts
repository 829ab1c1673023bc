import { PassThrough, Writable } from "node:stream";
import { describe, expect, test } from "vitest";
import { Questions } from "../../src/cli/questions.ts";
import { ProcessTerminal } from "../../src/cli/terminal.ts";
import { OutputClosed } from "../../src/commands/terminal-port.ts";
import { RunLog } from "../../src/engine/monitoring/run-log.ts";
import { Secrets } from "../../src/policy/secrets.ts";

function kept(): { log: RunLog; secrets: Secrets } {
  const secrets = new Secrets({});
  return { log: new RunLog("run", "backup", secrets), secrets };
}

function open(options: Partial<{ quiet: boolean; verbose: boolean; debug: boolean; json: boolean; toJournal: boolean }> = {}) {
  const stdout = new PassThrough();
  const stderr = new PassThrough();
  const terminal = new ProcessTerminal({ stdout, stderr, quiet: false, verbose: false, debug: false, json: false, env: {}, toJournal: false, ...kept(), ...options });
  const read = (stream: PassThrough): string => {
    const pieces: Uint8Array[] = [];
    for (let piece: unknown = stream.read(); piece instanceof Uint8Array; piece = stream.read()) pieces.push(piece);
    return Buffer.concat(pieces).toString();
  };
  return { terminal, out: () => read(stdout), err: () => read(stderr) };
}

describe("what goes where", () => {
  test("data to stdout, talk to stderr", () => {
    const { terminal, out, err } = open();
    terminal.data("a\nb");
    terminal.say("c");
    terminal.warn("d", "Do e.");
    expect(out()).toBe("a\nb\n");
    expect(err()).toBe("c\ncoldkeep: warning: d\ncoldkeep: hint: Do e.\n");
  });

  test("how much is said", () => {
    const talk = (options: Parameters<typeof open>[0]): string => {
      const { terminal, err } = open(options);
      terminal.say("say");
      terminal.status("status");
      terminal.detail("detail");
      terminal.warn("warn");
      terminal.progress("progress");
      return err().replaceAll("coldkeep: warning: ", "").trim().split("\n").join(" ");
    };
    expect(talk({})).toBe("say warn");
    expect(talk({ quiet: true })).toBe("warn");
    expect(talk({ verbose: true })).toBe("say status detail warn");
  });

  test("a failure is one error, one hint, a stack only with --debug, and one document", () => {
    const failure = { code: "E_STORE", message: "m", hint: "Do h.", stack: "Error: m\n    at x" } as const;
    const plain = open();
    plain.terminal.fail(failure);
    expect(plain.err()).toBe("coldkeep: error: m\ncoldkeep: hint: Do h.\n");
    expect(plain.out()).toBe("");
    const json = open({ json: true, debug: true });
    json.terminal.fail(failure);
    expect(json.err()).toContain("at x");
    expect(JSON.parse(json.out())).toEqual({ schemaVersion: 1, error: { code: "E_STORE", message: "m", hint: "Do h." } });
  });

  test("never a second document", () => {
    const { terminal, out } = open({ json: true });
    terminal.json({ a: 1 });
    expect(() => terminal.json({ a: 2 })).toThrow(/second/);
    terminal.fail({ code: "E_STORE", message: "m" });
    expect(out()).toBe('{"schemaVersion":1,"a":1}\n');
  });
});

describe("colour", () => {
  const lines = ["plain OK", { before: "web1: ", word: "AT RISK", tone: "bad", after: " \x1b[2J" }] as const;

  function onTerminal(options: { noColor?: boolean; env?: Record<string, string>; stdoutToo?: boolean }) {
    const stdout = Object.assign(new PassThrough(), { isTTY: options.stdoutToo ?? true });
    const stderr = Object.assign(new PassThrough(), { isTTY: true });
    const terminal = new ProcessTerminal({ stdout, stderr, quiet: false, verbose: false, debug: false, json: false, noColor: options.noColor ?? false, env: options.env ?? {}, toJournal: false, ...kept() });
    terminal.report(lines);
    terminal.warn("w");
    return { out: String(stdout.read()), err: String(stderr.read()) };
  }

  test("is for the word alone, and the word is there without it", () => {
    const { out, err } = onTerminal({});
    expect(out).toBe("plain OK\nweb1: \x1b[31mAT RISK\x1b[0m \\u001b[2J\n");
    expect(err).toBe("coldkeep: \x1b[33mwarning\x1b[0m: w\n");
  });

  test.each([
    ["NO_COLOR", { env: { NO_COLOR: "1" } }],
    ["TERM=dumb", { env: { TERM: "dumb" } }],
    ["--no-color", { noColor: true }],
  ])("is left out for %s", (_name, options) => {
    expect(onTerminal(options)).toEqual({ out: "plain OK\nweb1: AT RISK \\u001b[2J\n", err: "coldkeep: warning: w\n" });
  });

  test("does not go into a file, though a person is watching", () => {
    expect(onTerminal({ stdoutToo: false }).out).toBe("plain OK\nweb1: AT RISK \\u001b[2J\n");
  });
});

describe("a question", () => {
  function asking(options: Partial<{ quiet: boolean; json: boolean }> = {}) {
    const input = new PassThrough();
    const stderr = Object.assign(new PassThrough(), { isTTY: true });
    const questions = new Questions(() => input);
    const terminal = new ProcessTerminal({ stdout: new PassThrough(), stderr, quiet: false, verbose: false, debug: false, json: false, env: {}, questions, toJournal: false, ...kept(), ...options });
    return { input, stderr, terminal };
  }

  test("goes to stderr, and each takes the next line", async () => {
    const { input, stderr, terminal } = asking();
    const { signal } = new AbortController();
    input.write("  one \ntwo\n");
    expect([await terminal.ask("First?", signal), await terminal.ask("Second?", signal)]).toEqual(["one", "two"]);
    expect(String(stderr.read()) + String(stderr.read())).toBe("First? Second? ");
    input.end();
    await expect(terminal.ask("Third?", signal)).rejects.toMatchObject({ code: "E_INTERRUPTED" });
  });

  test("ends with the signal", async () => {
    const { terminal } = asking();
    const controller = new AbortController();
    const answer = terminal.ask("First?", controller.signal);
    controller.abort(new Error("stop"));
    await expect(answer).rejects.toThrow("stop");
    terminal.stop();
  });

  test("for a secret is asked once nothing shows any more, and takes keys as they come", async () => {
    const raw: string[] = [];
    const { input, stderr, terminal } = asking();
    Object.assign(input, { setRawMode: (on: boolean) => raw.push(`raw ${on}`) });
    stderr.on("data", (shown: Buffer) => raw.push(String(shown)));
    const { signal } = new AbortController();
    const first = terminal.askSecret("First?", signal);
    input.write("wrong\x15 tw");
    input.write("oé\x7f\x7fo \rahead\n");
    expect(await first).toBe(" two ");
    expect(await terminal.askSecret("Second?", signal)).toBe("ahead");
    expect(raw).toEqual(["raw true", "First? ", "raw false", "\n", "raw true", "Second? ", "raw false", "\n"]);
    const third = terminal.askSecret("Third?", signal);
    input.write("abc\x04");
    await expect(third).rejects.toMatchObject({ code: "E_INTERRUPTED" });
  });

  test("is for people: not with -q, not with --json, not without a terminal", () => {
    expect(asking().terminal.canAsk).toBe(true);
    expect(asking({ quiet: true }).terminal.canAsk).toBe(false);
    expect(asking({ json: true }).terminal.canAsk).toBe(false);
    expect(open().terminal.canAsk).toBe(false);
  });
});

describe("what never arrives", () => {
  test("a terminal's commands, hidden characters and forged lines", () => {
    const { terminal, out, err } = open();
    terminal.data("x\x1b[2J\x9b\u202ey\udcff\t\r\nz");
    expect(out()).toBe("x\\u001b[2J\\u009b\\u202ey\\xff\t\\r\nz\n");
    terminal.warn("x\ncoldkeep: error: forged");
    expect(err()).toBe("coldkeep: warning: x\\ncoldkeep: error: forged\n");
    terminal.fail({ code: "E_DISK", message: "the tool said\ncoldkeep: error: forged\x1b", hint: "See\nit." });
    expect(err()).toBe("coldkeep: error: the tool said\n  coldkeep: error: forged\\u001b\ncoldkeep: hint: See\\nit.\n");
    terminal.json({ name: "x\x1b\x9b\u202e\n\udcff" });
    const line = out();
    // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
    expect(line.trimEnd()).not.toMatch(/[\x00-\x1f\x7f-\x9f\u202e]/);
    expect(JSON.parse(line)).toEqual({ schemaVersion: 1, name: "x\x1b\x9b\u202e\n\udcff" });
  });

  test("a secret key", () => {
    const { terminal, out, err } = open({ debug: true, verbose: true, json: true });
    const secret = `AGE-SECRET-KEY-1${"Q".repeat(58)}`;
    terminal.data(secret);
    terminal.say(`x ${secret.toLowerCase()} ed25519-secret:QQQQ`);
    terminal.fail({ code: "E_INTERNAL", message: secret, hint: secret, stack: secret });
    expect(out() + err()).not.toMatch(/qqqq/i);
  });
});

describe("a stdout that cannot be written", () => {
  function failing(code: string) {
    const stdout = new Writable({ write: (_chunk, _encoding, done) => done(Object.assign(new Error(code), { code })) });
    return new ProcessTerminal({ stdout, stderr: new PassThrough(), quiet: false, verbose: false, debug: false, json: false, env: {}, toJournal: false, ...kept() });
  }

  test("whose reader has gone stops a listing, without an error to report", async () => {
    const terminal = failing("EPIPE");
    terminal.data("a");
    await terminal.flush();
    expect(() => terminal.data("b")).toThrow(OutputClosed);
    expect(terminal.outputError).toBeUndefined();
  });

  test("because the disk is full is an error", async () => {
    const terminal = failing("ENOSPC");
    terminal.data("a");
    await terminal.flush();
    expect(terminal.outputError?.message).toBe("ENOSPC");
  });
});

test("the journal gets a priority before each line, also of hints and of continued text", () => {
  const { terminal, out, err } = open({ toJournal: true, verbose: true, debug: true });
  terminal.say("say");
  terminal.status("status");
  terminal.detail("detail");
  terminal.warn("warn\nmore", "Do w.");
  terminal.data("data");
  terminal.fail({ code: "E_STORE", message: "m", hint: "Do h.", stack: "Error: m\n    at x" });
  expect(err()).toBe("<6>say\n<6>status\n<7>detail\n<4>coldkeep: warning: warn\\nmore\n<4>coldkeep: hint: Do w.\n<3>coldkeep: error: m\n<3>coldkeep: hint: Do h.\n<3>  Error: m\n<3>  at x\n");
  expect(out()).toBe("data\n");
});
