import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ColdkeepError } from "../../src/errors.ts";
import { formatKit, formatKitSecrets, type Kit, parseKit, parseKitSecrets, parseSignerArgument, parseSignerLine, type PinnedSigner, signerLine } from "../../src/format/kit.ts";

const KEY = `ed25519:${Buffer.alloc(32, 7).toString("base64")}`;
const IDENTITY = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX";
const KIT: Kit = {
  vault: "00112233445566778899aabbccddeeff",
  regions: [
    { name: "north", url: "s3://bucket/prefix?endpoint=https://127.0.0.1:7480&path-style=true" },
    { name: "usb", url: "file:///mnt/usb/vault" },
  ],
  signers: [
    { role: "host", host: "web1", key: KEY },
    { role: "operator", key: KEY },
  ],
  operatorKey: `ed25519-secret:${Buffer.alloc(32, 9).toString("base64")}`,
  recoverSha256: "ab".repeat(32),
  credentials: [{ region: "north", accessKeyId: "AKIAEXAMPLE", secretAccessKey: "secret/key+1=" }],
  programSha256: ["cd".repeat(32), "ef".repeat(32)],
  identities: [IDENTITY],
};
const ABOUT = { createdAt: "2026-11-23T18:41:12.345Z", notes: ["the server's name is web1"] };

function messageOf(text: string): string {
  try {
    parseKit(text);
  } catch (error) {
    if (error instanceof ColdkeepError && error.code === "E_KIT") return error.message;
    throw error;
  }
  return "no error";
}

describe("a kit", () => {
  test("reads back as it was written, also with Windows line ends", () => {
    const text = formatKit(KIT, ABOUT);
    expect(parseKit(text)).toEqual(KIT);
    expect(parseKit(text.replaceAll("\n", "\r\n"))).toEqual(KIT);
    expect(text).toContain("# the server's name is web1\n");
    const bare: Kit = { vault: KIT.vault, regions: [], signers: [], credentials: [], identities: [] };
    expect(parseKit(formatKit(bare, { createdAt: ABOUT.createdAt }))).toEqual(bare);
  });

  test("is an age identity file that opens what was encrypted to it", () => {
    const folder = mkdtempSync(join(tmpdir(), "coldkeep-kit-"));
    try {
      const identity = /^AGE-SECRET-KEY-\S+$/m.exec(execFileSync("age-keygen", { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }))?.[0] ?? "";
      const kit = join(folder, "kit.txt");
      writeFileSync(kit, formatKit({ ...KIT, identities: [identity] }, ABOUT), { mode: 0o600 });
      const recipient = execFileSync("age-keygen", ["-y", kit], { encoding: "utf8" }).trim();
      const sealed = execFileSync("age", ["-r", recipient], { input: "all is well" });
      expect(execFileSync("age", ["-d", "-i", kit], { input: sealed, encoding: "utf8" })).toBe("all is well");
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  test("with a sealed part reads back, and is refused where that part is not whole", () => {
    const recipient = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
    const armored = `-----BEGIN AGE ENCRYPTED FILE-----\n${"QUJD".repeat(16)}\nQUI=\n-----END AGE ENCRYPTED FILE-----\n`;
    const { operatorKey = "", ...open } = KIT;
    const sealed: Kit = { ...open, identities: [], sealed: { armored, recipients: [recipient] } };
    const text = formatKit(sealed, ABOUT);
    expect(parseKit(text)).toEqual(sealed);
    expect(parseKit(text.replaceAll("\n", "\r\n"))).toEqual(sealed);
    expect(parseKitSecrets(formatKitSecrets({ identities: [IDENTITY], operatorKey }))).toEqual({ identities: [IDENTITY], operatorKey });
    expect(messageOf(text.replace("# QUI=\n", "# QU I=\n"))).toMatch(/line \d+ of the kit is not a line of the sealed part/);
    expect(messageOf(text.replace("# QUI=\n", `${IDENTITY}\n`))).toMatch(/^line \d+ .*sealed part$/);
    expect(messageOf(text.slice(0, text.indexOf("\n# -----END")))).toContain("has no end");
    expect(messageOf(`${text}# -----BEGIN AGE ENCRYPTED FILE-----\n`)).toContain("second sealed part");
    expect(messageOf(text.replace(recipient, "age1short"))).toContain("is not an age recipient");
  });

  test("no value or note can smuggle in a line", () => {
    const url = `file:///a\n# signer: operator ${KEY}`;
    expect(() => formatKit({ ...KIT, regions: [{ name: "x", url }] }, ABOUT)).toThrow(ColdkeepError);
    expect(() => formatKit(KIT, { ...ABOUT, notes: [`x\n# signer: drill ${KEY}`] })).toThrow(ColdkeepError);
    expect(() => formatKit(KIT, { ...ABOUT, notes: [`signer: drill ${KEY}`] })).toThrow(ColdkeepError);
  });

  test("every broken line is refused by its number, without repeating a secret", () => {
    const text = formatKit(KIT, ABOUT);
    const lines = text.split("\n");
    const change = (start: string, replacement: string): string => {
      const index = lines.findIndex((line) => line.startsWith(start));
      expect(index, start).toBeGreaterThanOrEqual(0);
      const message = messageOf(lines.with(index, replacement).join("\n"));
      expect(message).toContain(`line ${index + 1} `);
      return message;
    };
    change("# coldkeep", "# my kit");
    change("# vault:", "# vault: 0011");
    change("# region: north", "# region: North s3://b/p");
    change("# region: usb", "# region: north file:///x");
    change("# region: usb", "# region: usb file:///x y");
    change("# signer: host", `# signer: host web1 rsa:${KEY.slice(8)}`);
    change("# signer: host", `# signer: guest ${KEY}`);
    change("# signer: host", `# signer: host ../x ${KEY}`);
    change("# signer: host", `# Signer: host web1 ${KEY}`);
    change("# signer: operator", `#signer: operator ${KEY}`);
    change("# signer: operator", `# signer: operator ${KEY.slice(0, -2)}9=`);
    change("# recover.sh:", "# recover.sh: md5 00");
    expect(change("# operator-key:", `# operator-key: x25519:${"S".repeat(44)}`)).not.toContain("SSSS");
    expect(change("AGE-SECRET", `${IDENTITY.slice(0, -3)}b11`)).not.toContain("GFPYY");
    expect(messageOf(text.replace("version 1", "version 2"))).toContain("version 2");
    expect(messageOf(text.replace(/# vault:.*\n/, ""))).toContain("vault");
    expect(messageOf("age-encryption.org/v1\n-> scrypt")).toContain("encrypted");
  });

  test("any text is read or refused, never anything else", () => {
    const line = fc.oneof(
      fc.string(),
      fc.constantFrom("# vault: ", "# signer: host", "# region:", "# operator-key: ed25519-secret:", IDENTITY, `# signer: operator ${KEY}`),
    );
    fc.assert(fc.property(fc.array(line), (lines) => {
        expect(messageOf(["# coldkeep kit, version 1", ...lines].join("\n"))).not.toBe("");
      }));
  });
});

describe("signer lines", () => {
  test("read back", () => {
    const signers: PinnedSigner[] = [...KIT.signers, { role: "drill", key: KEY }];
    for (const signer of signers) expect(parseSignerLine(signerLine(signer))).toEqual(signer);
  });

  test("a bare key is a host's, on the command line only", () => {
    expect(parseSignerArgument(KEY)).toEqual({ role: "host", host: null, key: KEY });
    expect(parseSignerArgument(`operator ${KEY}`)).toEqual({ role: "operator", key: KEY });
    expect(() => parseSignerLine(KEY)).toThrow(ColdkeepError);
    expect(() => parseSignerArgument("ed25519:short")).toThrow(ColdkeepError);
  });
});
