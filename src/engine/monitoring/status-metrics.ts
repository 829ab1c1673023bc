/** How a host stands, as figures: what the regions say, where the textfile has only what the host remembers. */
import type { Objectives } from "../../policy/readiness.ts";
import type { HostStatus } from "../status.ts";
import { Exposition, sum } from "./exposition.ts";

function seconds(time: string): number {
  return Date.parse(time) / 1000;
}

/** For Prometheus: to be scraped, or written where a collector finds it. */
export function formatStatusMetrics({ host, archives, newestGood, findings, retired, keyCheckedAt, drills, local }: HostStatus, { rpoMs, rtoMs }: Objectives, vault: string): string {
  const lastDrill = drills.at(-1) ?? null;
  const out = new Exposition({ host, vault });
  const good = archives.find(({ id }) => id === newestGood);
  const [newest] = archives;
  const regions = Object.keys(newest?.regions ?? {});
  const newestIn = (region: string): number => {
    const held = archives.find((archive) => archive.regions[region] === "complete");
    return held === undefined ? 0 : seconds(held.startedAt);
  };
  out.gauge("good_archive_timestamp_seconds", "When the newest archive that is whole and in enough regions was begun; 0 where there is none.", sum(good === undefined ? 0 : seconds(good.startedAt)));
  out.gauge("region_archive_timestamp_seconds", "When the newest archive that the region holds complete was begun; 0 where none is known.", regions.map((region) => ({ labels: { region }, value: newestIn(region) })));
  out.gauge("archives", "Archives that verify.", sum(archives.length));
  out.gauge("archive_bytes", "What the newest archive needs in each region.", sum(newest?.storedBytes));
  out.gauge("source_bytes", "Length of what the newest archive holds.", sum(newest?.sourceBytes));
  out.gauge("verified_timestamp_seconds", "When a verification on this host last found everything sound.", Object.entries(local.verified).map(([level, ms]) => ({ labels: { level }, value: ms / 1000 })));
  out.gauge("key_checked_timestamp_seconds", "When somebody last proved that the key opens an archive.", sum(keyCheckedAt === null ? undefined : seconds(keyCheckedAt)));
  out.gauge("drill_timestamp_seconds", "When the last recorded drill of files or more was held.", lastDrill === null ? [] : [{ labels: { depth: lastDrill.depth, result: lastDrill.result }, value: seconds(lastDrill.at) }]);
  out.gauge("rto_measured_seconds", "How long the rebuild in the last recorded drill took.", sum(lastDrill?.rtoMs === null || lastDrill === null ? undefined : lastDrill.rtoMs / 1000));
  out.gauge("lock_end_timestamp_seconds", "When the first lock of what the newest archive needs ends, as far as this host remembers; 0 where one is missing.", local.locks.flatMap(({ region, firstEndMs }) => (firstEndMs === null ? [] : [{ labels: { region }, value: firstEndMs / 1000 }])));
  out.gauge("rpo_target_seconds", "How old the newest archive may be.", sum(rpoMs / 1000));
  out.gauge("rto_target_seconds", "How long a rebuild may take.", sum(rtoMs === null ? undefined : rtoMs / 1000));
  out.gauge("retired", "1 for a host that makes no more archives.", sum(retired === null ? 0 : 1));
  const count = (severity: string): number => findings.filter((finding) => finding.severity === severity).length;
  out.gauge("findings", "What is not as it should be.", ["warn", "critical"].map((severity) => ({ labels: { severity }, value: count(severity) })));
  return out.text();
}
