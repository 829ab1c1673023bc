/** A third party's package repository: one small package, signed with a key of its own, served on loopback. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join, normalize } from "node:path";
import { fileTempDir } from "./temp-dir.ts";

export class AptRepository {
  readonly origin: string;
  /** The public key, as a keyring file has it. */
  readonly keyring: Buffer;
  /** Path of the package. */
  readonly package: string;
  readonly #server: Server;
  readonly #keys: string;

  private constructor(origin: string, keyring: Buffer, deb: string, server: Server, keys: string) {
    this.package = deb;
    this.#keys = keys;
    this.origin = origin;
    this.keyring = keyring;
    this.#server = server;
  }

  /** Serves `acme-agent`, which installs one program that prints its version. */
  static async start(version: string): Promise<AptRepository> {
    const folder = fileTempDir();
    const pool = join(folder, "pool");
    const deb = buildPackage(join(folder, "build"), version);
    mkdirSync(pool);
    const name = `acme-agent_${version}_all.deb`;
    writeFileSync(join(pool, name), readFileSync(deb));
    const home = join(folder, "gnupg");
    mkdirSync(home, { mode: 0o700 });
    const gpg = (...args: string[]): Buffer => execFileSync("gpg", ["--homedir", home, "--batch", "--yes", "--quiet", ...args], { stdio: ["ignore", "pipe", "pipe"] });
    gpg("--passphrase", "", "--quick-generate-key", "acme <acme@example.net>", "ed25519", "sign", "never");
    const dist = join(folder, "dist");
    mkdirSync(dist);
    writeFileSync(join(dist, "Packages"), packagesText(deb, `pool/${name}`));
    writeFileSync(join(dist, "Release"), releaseText(join(dist, "Packages")));
    gpg("--clearsign", "--output", join(dist, "InRelease"), join(dist, "Release"));
    const server = createServer((request, response) => {
      try {
        response.end(readFileSync(join(folder, normalize(new URL(request.url ?? "/", "http://x").pathname))));
      } catch {
        response.writeHead(404).end();
      }
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return new AptRepository(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, gpg("--export"), deb, server, home);
  }

  /** A line for sources.list.d; the keyring lies at `keyring`. */
  sourceLine(keyring: string): string {
    return `deb [signed-by=${keyring}] ${this.origin} dist/\n`;
  }

  stop(): void {
    this.#server.close();
    this.#server.closeAllConnections();
    // Its agent would stay for ever.
    execFileSync("gpgconf", ["--homedir", this.#keys, "--kill", "all"], { stdio: "ignore" });
  }
}

function buildPackage(folder: string, version: string): string {
  mkdirSync(join(folder, "DEBIAN"), { recursive: true });
  mkdirSync(join(folder, "usr/bin"), { recursive: true });
  writeFileSync(join(folder, "DEBIAN/control"), `Package: acme-agent\nVersion: ${version}\nArchitecture: all\nMaintainer: acme <acme@example.net>\nDescription: prints its version\n`);
  writeFileSync(join(folder, "usr/bin/acme-agent"), `#!/bin/sh\necho ${version}\n`, { mode: 0o755 });
  const deb = `${folder}.deb`;
  execFileSync("dpkg-deb", ["--root-owner-group", "--build", folder, deb], { stdio: "pipe" });
  return deb;
}

function packagesText(deb: string, filename: string): string {
  const control = execFileSync("dpkg-deb", ["--field", deb], { encoding: "utf8" }).trimEnd();
  return `${control}\nFilename: ${filename}\nSize: ${statSync(deb).size}\nSHA256: ${digest(deb)}\n\n`;
}

function releaseText(packages: string): string {
  return `Origin: acme\nSuite: dist\nDate: ${new Date().toUTCString().replace("GMT", "UTC")}\nArchitectures: amd64 all\nSHA256:\n ${digest(packages)} ${statSync(packages).size} Packages\n`;
}

function digest(path: string): string {
  return createHash("sha256").update(readFileSync(path)).digest("hex");
}
