/** A kit for paper: the text itself, and its secrets as QR codes. */
import { qrLines, qrSvg } from "../codec/qr.ts";
import { type Kit, signerLine } from "../format/kit.ts";

/** QR codes hold 2,953 bytes at most (ISO/IEC 18004, version 40-L); beyond this they are too fine for a cheap printer. */
const QR_BYTES_MAX = 1200;

/** What is worth scanning instead of typing. */
function codes(kit: Kit, text: string): { title: string; content: string }[] {
  const identities = kit.identities.map((identity, index) => ({ title: `Identity ${index + 1} of ${kit.identities.length}`, content: identity }));
  // Scanned, age opens it as it is.
  if (kit.sealed !== undefined) identities.push({ title: "The sealed identities", content: kit.sealed.armored });
  return Buffer.byteLength(text) > QR_BYTES_MAX ? identities : [...identities, { title: "The whole kit", content: text }];
}

/** The text of the kit, then its codes for a terminal or a printer of text. The codes are comments: the whole is a kit still. */
export function kitText(kit: Kit, text: string): string {
  const drawn = codes(kit, text).flatMap(({ title, content }) => ["#", `# ${title}`, "#", ...qrLines(content).map((line) => `# ${line}`)]);
  return [text.trimEnd(), ...drawn].join("\n");
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

const STYLE = `
  :root { color-scheme: light; }
  body { font: 11pt/1.4 system-ui, sans-serif; max-width: 46em; margin: 2em auto; padding: 0 1em; color: #111; background: #fff; }
  h1 { font-size: 1.5em; } h2 { font-size: 1.1em; margin-top: 1.6em; }
  code { overflow-wrap: anywhere; }
  pre { font: 8.5pt/1.35 ui-monospace, monospace; white-space: pre-wrap; overflow-wrap: anywhere; border: 1px solid #888; padding: 0.8em; }
  figure { display: inline-block; margin: 0.5em 1.5em 0.5em 0; break-inside: avoid; } figure svg { width: 6.5cm; height: 6.5cm; } figcaption { font-size: 0.85em; }
  table { border-collapse: collapse; } td, th { text-align: left; padding: 0.15em 1em 0.15em 0; vertical-align: top; overflow-wrap: anywhere; }
  @media print { body { margin: 0; max-width: none; } }`;

/** One page without anything outside it. */
export function kitHtml(kit: Kit, text: string, createdAt: string): string {
  const figures = codes(kit, text).map(({ title, content }) => `<figure role="img" aria-label="QR code: ${escaped(title)}">${qrSvg(content)}<figcaption>${escaped(title)}</figcaption></figure>`);
  const regions = kit.regions.map(({ name, url }) => `<tr><th scope="row">${escaped(name)}</th><td>${escaped(url)}</td></tr>`);
  const signers = kit.signers.map((signer) => `<li><code>${escaped(signerLine(signer))}</code></li>`);
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>coldkeep kit</title><style>${STYLE}</style></head>
<body><main><h1>coldkeep kit</h1>
<p>Vault <code>${kit.vault}</code>, printed ${escaped(createdAt)}. Whoever holds this page${kit.sealed === undefined ? "" : " and knows the passphrase"} can read everything in the vault. Keep it off the server.</p>
<h2>Codes</h2><div>${figures.length === 0 ? "<p>The identity is not in this kit: it is kept elsewhere.</p>" : ""}${figures.join("")}</div>
<h2>Regions</h2><table>${regions.join("")}</table>
<h2>Signers</h2><ul>${signers.join("")}</ul>
<h2>With the program</h2><pre>coldkeep list --kit KIT
coldkeep restore --kit KIT --to /some/empty/directory</pre>
<h2>Without it</h2><p>Copy one region to a disk, stand in the copy, and compare the digest of <code>recover.sh</code> with the one in the kit.</p>
<pre>sha256sum recover.sh
sh recover.sh KIT /some/empty/directory</pre>
<h2>The kit, to be typed or scanned into a file</h2><pre>${escaped(text)}</pre>
</main></body></html>
`;
}
