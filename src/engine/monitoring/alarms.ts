/** The services that are told of runs: where they are, and telling them. Whatever goes wrong here is a warning. */
import { readHeaderFile } from "../../config/header-file.ts";
import { readPrivateFile } from "../../config/private-file.ts";
import type { NotifyTarget } from "../../config/watch-schema.ts";
import { ColdkeepError, messageOf } from "../../errors.ts";
import type { Secrets } from "../../policy/secrets.ts";
import { type Destination, requestFor, type RunMessage } from "./alarm-message.ts";
import { PATIENCE, type Patience, post } from "./post.ts";

/** How telling one target went. */
export type AlarmReport = {
  /** For people; without what may be secret. */
  target: string;
  /** Null: it took the message. */
  fault: string | null;
};

type Watcher = { name: string; target: NotifyTarget } & ({ destination: Destination } | { fault: string });

export class Alarms {
  readonly #watchers: readonly Watcher[];
  readonly #secrets: Secrets;
  readonly #patience: Patience;

  /** Reads the private files of the targets; what is wrong with one is told when it is its turn. */
  constructor(targets: readonly NotifyTarget[], secrets: Secrets, patience: Patience = PATIENCE) {
    this.#secrets = secrets;
    this.#patience = patience;
    this.#watchers = targets.map((target, index): Watcher => {
      const name = nameOf(target, index);
      try {
        return { name, target, destination: destinationOf(target, secrets) };
      } catch (error) {
        return { name, target, fault: messageOf(error) };
      }
    });
  }

  /**
   * Tells those who want to know of such an event (`everyone`: all), all at once, until `signal` ends it. `lastLines` gives
   * the last lines of the run.
   */
  async send(message: RunMessage, lastLines: (count: number) => string[], signal: AbortSignal, everyone = false): Promise<AlarmReport[]> {
    const wants = ({ on, verbs }: NotifyTarget): boolean => everyone || (on.includes(message.event) && (verbs === null || verbs.includes(message.verb)));
    const wanted = this.#watchers.filter(({ target }) => wants(target));
    return Promise.all(wanted.map(async (watcher) => ({ target: watcher.name, fault: "fault" in watcher ? watcher.fault : await this.#tell(watcher.destination, message, lastLines, signal) })));
  }

  async #tell(destination: Destination, message: RunMessage, lastLines: (count: number) => string[], signal: AbortSignal): Promise<string | null> {
    const request = requestFor(destination, message, lastLines);
    const fault = await post({ ...request, body: this.#secrets.without(request.body) }, this.#patience, signal);
    return fault === null ? null : this.#secrets.without(fault);
  }
}

/** Place in the list, kind, and of the address only the service, or the file it stands in. */
function nameOf({ kind, address }: NotifyTarget, index: number): string {
  const where = "url" in address ? new URL(address.url).origin : address.urlFile;
  return `notify[${index}] (${kind}, ${where})`;
}

function destinationOf(target: NotifyTarget, secrets: Secrets): Destination {
  const url = addressOf(target);
  secrets.learnAddress(url);
  const headers = target.kind === "webhook" && target.headersFile !== null ? readHeaderFile(target.headersFile) : {};
  for (const [name, value] of Object.entries(headers)) secrets.learnHeader(name, value);
  return { target, url, headers };
}

function addressOf({ address }: NotifyTarget): string {
  if ("url" in address) return address.url;
  const text = readOwn(address.urlFile).trim();
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol === "https:" || url?.protocol === "http:") return text;
  throw new ColdkeepError("E_CONFIG", `${address.urlFile} does not hold the address of a service`);
}

function readOwn(path: string): string {
  const text = readPrivateFile(path);
  if (text === null) throw new ColdkeepError("E_CONFIG", `there is no file ${path}`);
  return text;
}
