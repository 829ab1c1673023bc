import { PassThrough, Writable } from "node:stream";
import { describe, expect, test } from "vitest";
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

describe("what never arrives", () => {
  test("a terminal's commands, hidden characters and forged lines", () => {
    const { terminal, out, err } = open();
    terminal.data("x\x1b[2J\x9b\u202ey\udcff\t\r\nz");
    expect(out()).toBe("x\\u001b[2J\\u009b\\u202ey\\xff\t\\r\nz\n");
    terminal.warn("x\ncoldkeep: error: forged");
    expect(err()).toBe("coldkeep: warning: x\\ncoldkeep: error: forged\n");
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
