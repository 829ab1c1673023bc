/** Where the contestants store: buckets of a Ceph RGW where it is installed, else directories. */
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { Client } from "minio";
import { startRgw, type S3Endpoint } from "../support/rgw.ts";

const BUCKET = "bench";

export type Place = {
  /** The region's URL for us. */
  url: string;
  /** The same place for restic. */
  resticUrl: string;
  resticOptions: readonly string[];
  keys?: { accessKeyId: string; secretAccessKey: string };
  /** Bytes of everything stored there. */
  storedBytes(): Promise<number>;
};

export type Stores = { kind: string; places: readonly Place[]; stop(): Promise<void> };

export function hasRgw(): boolean {
  return ["ceph-mon", "ceph-osd", "radosgw", "radosgw-admin"].every((program) => spawnSync("sh", ["-c", `command -v ${program}`]).status === 0);
}

function s3Place({ endpoint, region, accessKeyId, secretAccessKey }: S3Endpoint): Place {
  const url = new URL(endpoint);
  const client = new Client({ endPoint: url.hostname, port: Number(url.port), useSSL: false, accessKey: accessKeyId, secretKey: secretAccessKey, region });
  return {
    url: `s3://${BUCKET}/vault?endpoint=${endpoint}&aws-region=${region}`,
    resticUrl: `s3:${endpoint}/${BUCKET}/restic`,
    resticOptions: ["-o", `s3.region=${region}`, "-o", "s3.bucket-lookup=path"],
    keys: { accessKeyId, secretAccessKey },
    async storedBytes() {
      let sum = 0;
      for await (const { size } of client.listObjectsV2(BUCKET, "", true) as AsyncIterable<{ size: number }>) sum += size;
      return sum;
    },
  };
}

function directoryPlace(folder: string): Place {
  return {
    url: `file://${folder}`,
    resticUrl: folder,
    resticOptions: [],
    storedBytes: async () =>
      readdirSync(folder, { recursive: true, withFileTypes: true }).reduce((sum, entry) => sum + (entry.isFile() ? statSync(join(entry.parentPath, entry.name)).size : 0), 0),
  };
}

/** Fresh stores: two regions for us and one for restic. */
export async function startStores(useRgw: boolean, folder: string): Promise<Stores> {
  if (useRgw) {
    const rgw = await startRgw([{ name: "one" }, { name: "two" }, { name: "restic" }]);
    for (const { endpoint, region, accessKeyId, secretAccessKey } of rgw.endpoints) {
      const { hostname, port } = new URL(endpoint);
      await new Client({ endPoint: hostname, port: Number(port), useSSL: false, accessKey: accessKeyId, secretKey: secretAccessKey, region }).makeBucket(BUCKET);
    }
    return { kind: "Ceph RGW on loopback", places: rgw.endpoints.map(s3Place), stop: () => rgw.stop() };
  }
  const places = ["one", "two", "restic"].map((name) => {
    mkdirSync(join(folder, "stores", name), { recursive: true });
    return directoryPlace(join(folder, "stores", name));
  });
  return { kind: "directories", places, stop: async () => rmSync(join(folder, "stores"), { recursive: true }) };
}
