/** Where the contestants store: buckets of a Ceph RGW where it is installed, else directories. */
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Client } from "minio";
import { startRgw, type S3Endpoint } from "../support/rgw.ts";
import { isInstalled } from "./contestants/yardsticks.ts";
import { treeFacts } from "./corpus/tree-facts.ts";
import { type DelayLine, startDelayLine } from "./delay-line.ts";

const BUCKET = "bench";
/** Two regions for us and one for restic. */
const NAMES = ["one", "two", "restic"] as const;

export type Place = {
  /** The region's URL for us. */
  url: string;
  /** The same place for restic. */
  resticUrl: string;
  resticOptions: readonly string[];
  keys?: { accessKeyId: string; secretAccessKey: string };
  /** Bytes of everything stored there, of objects whose key `counts`. */
  storedBytes(counts?: (key: string) => boolean): Promise<number>;
};

export type Places = readonly [one: Place, two: Place, restic: Place];

export type Stores = {
  /** Places of their own for each part of a round. */
  places(part: string): Places;
  stop(): Promise<void>;
};

export function hasRgw(): boolean {
  return isInstalled("ceph-mon", "ceph-osd", "radosgw", "radosgw-admin");
}

function s3Place({ endpoint, region, accessKeyId, secretAccessKey }: S3Endpoint, client: Client, part: string): Place {
  return {
    url: `s3://${BUCKET}/${part}?endpoint=${endpoint}&aws-region=${region}`,
    resticUrl: `s3:${endpoint}/${BUCKET}/${part}`,
    resticOptions: ["-o", `s3.region=${region}`, "-o", "s3.bucket-lookup=path"],
    keys: { accessKeyId, secretAccessKey },
    async storedBytes(counts = () => true) {
      let sum = 0;
      for await (const { name, size } of client.listObjectsV2(BUCKET, `${part}/`, true) as AsyncIterable<{ name: string; size: number }>) if (counts(name)) sum += size;
      return sum;
    },
  };
}

function directoryPlace(folder: string): Place {
  mkdirSync(folder, { recursive: true });
  return { url: `file://${folder}`, resticUrl: folder, resticOptions: [], storedBytes: async (counts) => treeFacts(folder, counts).bytes };
}

export function directoryStores(folder: string): Stores {
  return {
    places: (part) => [directoryPlace(join(folder, part, "one")), directoryPlace(join(folder, part, "two")), directoryPlace(join(folder, part, "restic"))],
    stop: async () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** Every request takes `latencyMs` longer. Takes about half a minute. */
export async function rgwStores(latencyMs = 0): Promise<Stores> {
  const rgw = await startRgw(NAMES.map((name) => ({ name })));
  const lines: DelayLine[] = [];
  const stop = async (): Promise<void> => {
    for (const line of lines) line.stop();
    await rgw.stop();
  };
  try {
    const made: { endpoint: S3Endpoint; client: Client }[] = [];
    for (const endpoint of rgw.endpoints) {
      const { hostname, port } = new URL(endpoint.endpoint);
      const client = new Client({ endPoint: hostname, port: Number(port), useSSL: false, accessKey: endpoint.accessKeyId, secretKey: endpoint.secretAccessKey, region: endpoint.region });
      await client.makeBucket(BUCKET);
      if (latencyMs === 0) {
        made.push({ endpoint, client });
        continue;
      }
      const line = await startDelayLine(endpoint.endpoint, latencyMs);
      lines.push(line);
      made.push({ endpoint: { ...endpoint, endpoint: line.url }, client });
    }
    const [one, two, restic] = made;
    if (one === undefined || two === undefined || restic === undefined) throw new Error("three gateways are needed");
    const placeOf = ({ endpoint, client }: typeof one, part: string): Place => s3Place(endpoint, client, part);
    return { places: (part) => [placeOf(one, part), placeOf(two, part), placeOf(restic, part)], stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
