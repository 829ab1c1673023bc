/** Line charts as SVG: shapes and text alone, coloured by the page's style. */

export type Point = { atMs: number; value: number };
export type Line = { name: string; className: string; points: readonly Point[] };
export type Chart = { title: string; fromMs: number; toMs: number; lines: readonly Line[]; /** A level to stay below. */ limit?: { name: string; value: number } | undefined; format: (value: number) => string };

const WIDTH = 720;
const HEIGHT = 220;
const LEFT = 78;
const BOTTOM = 26;
const TOP = 12;
const RIGHT = 10;
const TICKS = 4;

export function escapeHtml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;").replaceAll("'", "&#39;");
}

/** A figure with the chart and its legend; the numbers themselves belong in a table beside it. */
export function drawChart({ title, fromMs, toMs, lines, limit, format }: Chart): string {
  const highest = Math.max(1, limit?.value ?? 0, ...lines.flatMap(({ points }) => points.map(({ value }) => value)));
  const x = (ms: number): string => (LEFT + ((ms - fromMs) / Math.max(1, toMs - fromMs)) * (WIDTH - LEFT - RIGHT)).toFixed(1);
  const y = (value: number): string => (HEIGHT - BOTTOM - (value / highest) * (HEIGHT - BOTTOM - TOP)).toFixed(1);
  const ticks = Array.from({ length: TICKS + 1 }, (_, i) => (highest * i) / TICKS);
  const grid = ticks.map((value) => `<line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y(value)}" y2="${y(value)}"/><text x="${LEFT - 8}" y="${y(value)}" text-anchor="end" dominant-baseline="middle">${escapeHtml(format(value))}</text>`);
  const dates = [fromMs, (fromMs + toMs) / 2, toMs].map((ms, i) => `<text x="${x(ms)}" y="${HEIGHT - 6}" text-anchor="${["start", "middle", "end"][i]}">${new Date(ms).toISOString().slice(0, 10)}</text>`);
  const drawn = lines.map(({ className, points }) => {
    const path = points.map(({ atMs, value }) => `${x(atMs)},${y(value)}`).join(" ");
    const dots = points.map(({ atMs, value }) => `<circle class="${className}" cx="${x(atMs)}" cy="${y(value)}" r="2.5"/>`);
    return `<polyline class="${className}" points="${path}"/>${dots.join("")}`;
  });
  const limitLine = limit === undefined ? "" : `<line class="limit" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y(limit.value)}" y2="${y(limit.value)}"/>`;
  const legend = [...lines.map(({ name, className }) => `<span class="key ${className}">${escapeHtml(name)}</span>`), ...(limit === undefined ? [] : [`<span class="key limit">${escapeHtml(limit.name)}</span>`])];
  return `<figure><div class="wide" tabindex="0" role="region" aria-label="${escapeHtml(title)}: chart"><svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escapeHtml(title)}">${grid.join("")}${dates.join("")}${limitLine}${drawn.join("")}</svg></div><figcaption>${escapeHtml(title)}: ${legend.join(" ")}</figcaption></figure>`;
}
