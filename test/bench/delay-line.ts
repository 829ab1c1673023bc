/**
 * A long way to a server: a relay in a process of its own, in which what is sent arrives a while later. Answers come at once, so
 * that every request takes that much longer, and nothing is slower for it that has enough under way.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { createInterface } from "node:readline";
import { acknowledge } from "../../src/storage/quick-ack.ts";

/** What one connection may have under way. */
const BYTES_MAX = 64 * 1024 * 1024;

export type DelayLine = { url: string; stop(): void };

/** The way to `url`, which is an http one of this machine. It ends with this process. */
export async function startDelayLine(url: string, delayMs: number): Promise<DelayLine> {
  const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", import.meta.filename, new URL(url).port, String(delayMs)], { stdio: ["pipe", "pipe", "inherit"] });
  const [port] = await once(createInterface({ input: child.stdout }), "line") as [string];
  return { url: `http://127.0.0.1:${port}`, stop: () => void child.stdin.end() };
}

/** Everything from one side to the other, `delayMs` late and in its order. */
class LatePipe {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #delayMs: number;
  readonly #underWay: { dueMs: number; bytes: Buffer | null }[] = [];
  #bytes = 0;
  #isWaiting = false;

  constructor(from: Socket, to: Socket, delayMs: number) {
    this.#from = from;
    this.#to = to;
    this.#delayMs = delayMs;
    from.on("data", (bytes: Buffer) => this.#take(bytes));
    from.on("end", () => this.#take(null));
  }

  #take(bytes: Buffer | null): void {
    this.#underWay.push({ dueMs: performance.now() + this.#delayMs, bytes });
    this.#bytes += bytes?.length ?? 0;
    if (this.#bytes > BYTES_MAX) this.#from.pause();
    this.#advance();
  }

  #advance(): void {
    if (this.#isWaiting) return;
    for (let first = this.#underWay[0]; first !== undefined; first = this.#underWay[0]) {
      const waitMs = first.dueMs - performance.now();
      if (waitMs > 0) return this.#wait((go) => setTimeout(go, Math.ceil(waitMs)));
      this.#underWay.shift();
      if (first.bytes === null) {
        this.#to.end();
        return;
      }
      this.#bytes -= first.bytes.length;
      if (this.#bytes <= BYTES_MAX) this.#from.resume();
      if (!this.#to.write(first.bytes)) return this.#wait((go) => this.#to.once("drain", go));
    }
  }

  #wait(until: (go: () => void) => void): void {
    this.#isWaiting = true;
    until(() => {
      this.#isWaiting = false;
      this.#advance();
    });
  }
}

function relay(serverPort: number, delayMs: number): void {
  const listener = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    const server = connect({ host: "127.0.0.1", port: serverPort, allowHalfOpen: true, noDelay: true });
    for (const [one, other] of [[client, server], [server, client]] as const) one.on("error", () => other.destroy()).on("close", () => other.destroy());
    new LatePipe(client, server, delayMs);
    server.on("data", () => acknowledge(server)).pipe(client);
  });
  listener.listen(0, "127.0.0.1", () => {
    const address = listener.address();
    console.log(typeof address === "object" ? address?.port : address);
  });
  process.stdin.resume().on("end", () => process.exit(0));
}

if (import.meta.main) relay(Number(process.argv[2]), Number(process.argv[3]));
