/** A throw-away certificate for the fake S3 server and for RGW. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";

export type Certificate = { keyPath: string; certPath: string; key: string; cert: string };

/** Makes a self-signed certificate for 127.0.0.1 and localhost in `folder`, with the openssl program; it is its own authority. */
export function makeCertificate(folder: string): Certificate {
  const keyPath = join(folder, "key.pem");
  const certPath = join(folder, "cert.pem");
  const names = "subjectAltName=DNS:localhost,IP:127.0.0.1";
  const algorithm = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  const args = ["req", "-x509", ...algorithm, "-days", "2", "-subj", "/CN=localhost", "-addext", names, "-keyout", keyPath, "-out", certPath];
  execFileSync("openssl", args, { stdio: "pipe" });
  return { keyPath, certPath, key: readFileSync(keyPath, "utf8"), cert: readFileSync(certPath, "utf8") };
}
