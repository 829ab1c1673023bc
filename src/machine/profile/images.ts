/** Images of containers, by their digests: what to pull again. */
import type { Profile } from "../../format/profile.ts";
import type { Look } from "./look.ts";

type Image = Profile["images"][number];

const TOOL_MS = 1800;
/** The tools' own names of the fields; the first is theirs for what is a name here. */
const FORMAT = ["Repo" + "sitory", "Tag", "Digest", "ID"].map((field) => `{{.${field}}}`).join("\t");
const ENGINES = [
  { engine: "docker", sign: "/run/docker.sock" },
  { engine: "podman", sign: "/var/lib/containers/storage" },
] as const;

/** One image a line, in the form above; one that was built here has no digest of its own, and is named by its id. */
export function parseImages(text: string, engine: string): Image[] {
  return text.split("\n").flatMap((line) => {
    const [name = "", tag = "", digest = "", id = ""] = line.split("\t");
    if (id === "") return [];
    const reference = name === "<none>" ? id : tag === "<none>" || tag === "" ? name : `${name}:${tag}`;
    return [{ engine, reference, digest: digest.startsWith("sha256:") ? digest : `id:${id}` }];
  });
}

/** Asks only where an engine's socket or storage is there: starting one to be told of nothing takes a second. */
export async function readImages(look: Look): Promise<Image[]> {
  const present = ENGINES.filter(({ sign }) => look.isLive && look.stat(sign) !== null);
  const texts = await Promise.all(present.map(({ engine }) => look.tool(`${engine} images`, [engine, "image", "ls", "--digests", "--no-trunc", "--format", FORMAT], TOOL_MS)));
  return present.flatMap(({ engine }, i) => parseImages(texts[i] ?? "", engine)).toSorted((a, b) => (a.reference < b.reference ? -1 : 1));
}
