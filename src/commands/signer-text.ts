/** A pinned signer in a line. */
import type { ShownSigner } from "../engine/key-show.ts";

export function signerText({ role, host, key, fingerprint, from, heldBy }: ShownSigner): string {
  const whose = host === null ? role : `${role} ${host}`;
  return `  ${fingerprint}  ${whose} ${key}: from ${from.join(", ")}${heldBy === null ? "" : `; its secret key is ${heldBy === "kit" ? "in the kit" : "on this host"}`}`;
}
