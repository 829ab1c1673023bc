/** A report as one page: no script, nothing from outside, readable in light and dark, on paper, and by a screen reader. */
import { formatDuration, formatSize } from "../units.ts";
import type { ListedArchive } from "./list-archives.ts";
import { drawChart, escapeHtml } from "./report-charts.ts";
import type { HostReport } from "./report.ts";

/** The newest archives shown one by one; the charts show all. */
const ROWS_MAX = 400;

const STYLE = `
:root { color-scheme: light dark; --ink: #1a1a1a; --soft: #555; --paper: #fff; --rule: #c8c8c8; --good: #1a6b2f; --bad: #a8201a; --doubt: #7a5200; --one: #1f5f99; --two: #8a4b08; }
@media (prefers-color-scheme: dark) { :root { --ink: #eee; --soft: #b5b5b5; --paper: #161616; --rule: #444; --good: #7fd396; --bad: #ff9b94; --doubt: #f0c266; --one: #8cc4f5; --two: #f2b277; } }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 60rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.6rem; margin: 0 0 0.2rem; } h2 { font-size: 1.15rem; margin: 2.2rem 0 0.6rem; border-bottom: 1px solid var(--rule); padding-bottom: 0.2rem; }
p.sub { color: var(--soft); margin: 0; }
dl.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: 0.8rem; margin: 1.2rem 0 0; } dl.facts div { border: 1px solid var(--rule); border-radius: 6px; padding: 0.6rem 0.8rem; }
dt { color: var(--soft); font-size: 0.85rem; } dd { margin: 0; font-size: 1.15rem; font-weight: 600; }
.good { color: var(--good); } .bad { color: var(--bad); } .doubt { color: var(--doubt); }
div.wide { overflow-x: auto; } div.wide:focus-visible, summary:focus-visible { outline: 3px solid var(--one); outline-offset: 2px; }
table { border-collapse: collapse; width: 100%; font-size: 0.9rem; } caption { text-align: left; color: var(--soft); padding-bottom: 0.3rem; }
th, td { text-align: left; padding: 0.25rem 0.8rem 0.25rem 0; border-bottom: 1px solid var(--rule); vertical-align: top; } td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
figure { margin: 0.5rem 0 0; } figure svg { width: 100%; min-width: 34rem; height: auto; } figure text { fill: var(--soft); font-size: 11px; } figcaption { color: var(--soft); font-size: 0.85rem; }
.grid { stroke: var(--rule); stroke-width: 1; } polyline { fill: none; stroke-width: 2; } polyline.one { stroke: var(--one); } circle.one { fill: var(--one); } polyline.two { stroke: var(--two); } circle.two { fill: var(--two); }
line.limit { stroke: var(--bad); stroke-width: 1.5; stroke-dasharray: 6 4; } .key { margin-right: 1rem; } .key.one { color: var(--one); } .key.two { color: var(--two); } .key.limit { color: var(--bad); }
@media print { :root { color-scheme: light; } figure svg { min-width: 0; } body { max-width: none; padding: 0; } h2 { break-after: avoid; } tr, figure { break-inside: avoid; } details { display: block; } }`;

type Cell = { text: string; className?: string };

function table(caption: string, heads: readonly (string | { text: string; className: string })[], rows: readonly (readonly Cell[])[]): string {
  const head = heads.map((each) => (typeof each === "string" ? `<th scope="col">${escapeHtml(each)}</th>` : `<th scope="col" class="${each.className}">${escapeHtml(each.text)}</th>`));
  const body = rows.map((cells) => `<tr>${cells.map(({ text, className }, i) => (i === 0 ? `<th scope="row">${escapeHtml(text)}</th>` : `<td${className === undefined ? "" : ` class="${className}"`}>${escapeHtml(text)}</td>`)).join("")}</tr>`);
  return `<div class="wide" tabindex="0" role="region" aria-label="${escapeHtml(caption)}"><table><caption>${escapeHtml(caption)}</caption><thead><tr>${head.join("")}</tr></thead><tbody>${body.join("")}</tbody></table></div>`;
}

function time(iso: string): string {
  return `${iso.slice(0, 10)} ${iso.slice(11, 16)} UTC`;
}

function fact(name: string, value: string, className = ""): string {
  return `<div><dt>${escapeHtml(name)}</dt><dd class="${className}">${escapeHtml(value)}</dd></div>`;
}

function facts(report: HostReport): string {
  const { archives, findings, worstGapMs, objectives, retired, incidents } = report;
  const newest = archives.at(-1);
  const isBad = findings.some(({ severity }) => severity === "critical");
  const verdict = isBad ? fact("State", "AT RISK", "bad") : findings.length > 0 ? fact("State", "LOOK", "doubt") : fact("State", retired === null ? "READY" : "RETIRED", "good");
  const isOver = worstGapMs !== null && worstGapMs > objectives.rpoMs;
  return [
    verdict,
    fact("Archives in the period", String(archives.length)),
    fact(`Longest time without a good archive (objective ${formatDuration(objectives.rpoMs)})`, worstGapMs === null ? "–" : formatDuration(worstGapMs), isOver ? "bad" : "good"),
    fact("Stored in each region", newest === undefined ? "–" : formatSize(newest.storedBytes)),
    fact("Incidents", String(incidents.length), incidents.length > 0 ? "doubt" : "good"),
    ...rtoFacts(report),
  ].join("");
}

function rtoFacts({ objectives: { rtoMs }, drills }: HostReport): string[] {
  const measuredMs = drills.findLast((drill) => drill.rtoMs !== null)?.rtoMs ?? null;
  const objective = rtoMs === null ? "" : ` (objective ${formatDuration(rtoMs)})`;
  if (measuredMs === null) return rtoMs === null ? [] : [fact(`Rebuild in the last drill${objective}`, "not measured", "doubt")];
  return [fact(`Rebuild in the last drill${objective}`, formatDuration(measuredMs), rtoMs !== null && measuredMs > rtoMs ? "bad" : "good")];
}

function charts({ archives, gaps, from, to, objectives }: HostReport): string {
  const range = { fromMs: Date.parse(from), toMs: Date.parse(to) };
  const sizes = (of: (archive: ListedArchive) => number): { atMs: number; value: number }[] => archives.map((archive) => ({ atMs: Date.parse(archive.startedAt), value: of(archive) }));
  const rpo = drawChart({ ...range, title: "Time between good archives", lines: [{ name: "time since the one before", className: "one", points: gaps.map(({ at, gapMs }) => ({ atMs: Date.parse(at), value: gapMs })) }], limit: { name: "objective", value: objectives.rpoMs }, format: (value) => `${Math.round(value / 3_600_000)} h` });
  const size = drawChart({ ...range, title: "Sizes", lines: [{ name: "sources", className: "one", points: sizes(({ sourceBytes }) => sourceBytes) }, { name: "stored in each region", className: "two", points: sizes(({ storedBytes }) => storedBytes) }], format: formatSize });
  return `<h2>What could have been lost (RPO)</h2>${rpo}<h2>Sizes and growth</h2>${size}<p>${escapeHtml(growth(archives))}</p>`;
}

function growth(archives: readonly ListedArchive[]): string {
  const [first, last] = [archives[0], archives.at(-1)];
  if (first === undefined || last === undefined || first === last) return "Two archives are needed to tell of growth.";
  const days = (Date.parse(last.startedAt) - Date.parse(first.startedAt)) / 86_400_000;
  const bytes = last.storedBytes - first.storedBytes;
  const sign = bytes < 0 ? "-" : "+";
  const yearly = days < 7 ? "" : ` Carried on for a year (an extrapolation): ${sign}${formatSize(Math.abs((bytes / days) * 365))}.`;
  return `Stored bytes: ${sign}${formatSize(Math.abs(bytes))} in ${days.toFixed(1)} days.${yearly}`;
}

const STATES = { complete: { text: "complete", className: "good" }, behind: { text: "missing", className: "bad" }, unreachable: { text: "no answer", className: "doubt" } } as const;

function archiveTable({ archives }: HostReport): string {
  const shown = archives.slice(-ROWS_MAX).toReversed();
  const names = Object.keys(archives.at(-1)?.regions ?? {});
  const rows = shown.map((archive): Cell[] => [
    { text: time(archive.startedAt) },
    { text: [archive.status, ...archive.flags].join(", "), className: archive.status === "complete" && archive.flags.length === 0 ? "good" : "doubt" },
    { text: String(archive.entries), className: "n" },
    { text: formatSize(archive.sourceBytes), className: "n" },
    { text: formatSize(archive.storedBytes), className: "n" },
    ...names.map((name) => STATES[archive.regions[name] ?? "behind"]),
  ]);
  const numbers = ["entries", "sources", "stored"].map((text) => ({ text, className: "n" }));
  return table(`${shown.length} of ${archives.length} archives, newest first; a column for each region`, ["begun", "status", ...numbers, ...names], rows);
}

function proofs({ proofs: runs, hasHistory }: HostReport): string {
  if (!hasHistory) return "<p>The history of runs lies on the host itself; this report was made elsewhere.</p>";
  if (runs.length === 0) return "<p>None in this period. An archive that nobody verified is a hope.</p>";
  const rows = runs.toReversed().map(({ verb, level, startedAt, durationMs, exitStatus, message }): Cell[] => [
    { text: time(startedAt) },
    { text: level === null ? verb : `${verb}, ${level}` },
    { text: durationMs === null ? "–" : formatDuration(durationMs), className: "n" },
    { text: exitStatus === 0 ? "sound" : (message ?? `exit ${exitStatus}`), className: exitStatus === 0 ? "good" : "bad" },
  ]);
  return table("Verifications and drills, newest first", ["begun", "what", { text: "took", className: "n" }, "result"], rows);
}

function drillTable({ drills }: HostReport): string {
  if (drills.length === 0) return "<p>No drill was recorded in this period. See <code>coldkeep drill</code>.</p>";
  const rows = drills.toReversed().map(({ at, depth, archive, rtoMs, result }): Cell[] => [
    { text: time(at) },
    { text: depth },
    { text: archive },
    { text: rtoMs === null ? "–" : formatDuration(rtoMs), className: "n" },
    { text: result, className: result === "passed" ? "good" : "bad" },
  ]);
  return table("Drills by their signed records, of all machines, newest first", ["held", "depth", "archive", { text: "rebuilt in", className: "n" }, "result"], rows);
}

function list(items: readonly string[], none: string): string {
  return items.length === 0 ? `<p>${escapeHtml(none)}</p>` : `<ul>${items.map((item) => `<li>${escapeHtml(item)}</li>`).join("")}</ul>`;
}

export function reportPage(report: HostReport): string {
  const { host, vault, from, to, findings, incidents, retired } = report;
  const retirement = retired === null ? "" : `<p class="doubt">Retired ${escapeHtml(time(retired.at))}: ${escapeHtml(retired.reason)}</p>`;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>coldkeep: ${escapeHtml(host)}</title><style>${STYLE}</style></head>
<body><main><h1>Backups of ${escapeHtml(host)}</h1><p class="sub">${escapeHtml(time(from))} to ${escapeHtml(time(to))}; vault ${escapeHtml(vault)}</p>${retirement}
<dl class="facts">${facts(report)}</dl>
<h2>To look at</h2>${list(findings.map(({ message, hint }) => `${message}. ${hint}`), "Nothing.")}
${charts(report)}
<h2>Archives and regions</h2>${archiveTable(report)}
<h2>Drills</h2>${drillTable(report)}
<h2>Proofs on this machine</h2>${proofs(report)}
<h2>Incidents</h2>${list(incidents.toReversed().map(({ at, what }) => `${time(at)}: ${what}`), "None in this period.")}
</main></body></html>
`;
}
