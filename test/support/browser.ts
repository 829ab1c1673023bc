/** A real Chromium without a window, driven over its own protocol (Chrome DevTools Protocol): what a person would see of a page. */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { waitUntil } from "./program.ts";

type Message = { id?: number; method?: string; params?: Record<string, unknown>; result?: Record<string, unknown>; error?: { message: string } };

/** Looks at every text of the page: how far its colour stands out from what lies behind it (WCAG 2.2, relative luminance). */
const LOWEST_CONTRAST = `(() => {
  const parse = (text) => { const [r, g, b, a = 1] = text.match(/[\\d.]+/g).map(Number); return { r, g, b, a }; };
  const channel = (value) => { const part = value / 255; return part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4; };
  const luminance = ({ r, g, b }) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const behind = (element) => { for (let at = element; at; at = at.parentElement) { const c = parse(getComputedStyle(at).backgroundColor); if (c.a > 0) return c; } return { r: 255, g: 255, b: 255 }; };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let lowest = { ratio: 21, text: "" };
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (node.data.trim() === "" || element.closest("style, title, desc")) continue;
    const style = getComputedStyle(element);
    const [one, other] = [luminance(parse(element.closest("svg") ? style.fill : style.color)), luminance(behind(element))].sort((a, b) => b - a);
    const ratio = (one + 0.05) / (other + 0.05);
    if (ratio < lowest.ratio) lowest = { ratio, text: node.data.trim().slice(0, 60) };
  }
  return lowest;
})()`;

const FOCUSED = `(() => {
  const element = document.activeElement;
  const { outlineStyle, outlineWidth } = getComputedStyle(element);
  return { name: element === document.body ? null : element.getAttribute("aria-label") ?? element.textContent.slice(0, 60), outline: outlineStyle === "none" ? 0 : parseFloat(outlineWidth) };
})()`;

export class Browser implements AsyncDisposable {
  /** Addresses asked for, and what went to the console or was thrown. */
  readonly requested: string[] = [];
  readonly complaints: string[] = [];
  readonly #child;
  readonly #profile;
  #socket: WebSocket | undefined;
  #session: string | undefined;
  #calls = 0;
  #onLoad: () => void = () => undefined;
  readonly #waiting = new Map<number, { resolve: (result: Record<string, unknown>) => void; reject: (error: Error) => void }>();

  private constructor() {
    this.#profile = mkdtempSync(join(tmpdir(), "coldkeep-browser-"));
    const flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--remote-debugging-port=0", `--user-data-dir=${this.#profile}`];
    this.#child = spawn("chromium", [...flags, "about:blank"], { stdio: "ignore", detached: true });
    this.#child.on("error", (error) => this.complaints.push(error.message));
  }

  /** Starts Chromium and opens a local file in it. */
  static async open(path: string): Promise<Browser> {
    const browser = new Browser();
    const portFile = join(browser.#profile, "DevToolsActivePort");
    const lines = (): string[] => {
      try {
        return readFileSync(portFile, "utf8").split("\n");
      } catch {
        return [];
      }
    };
    await waitUntil("Chromium to listen", () => lines().length > 1, 30_000);
    const [port, address] = lines();
    await browser.#connect(`ws://127.0.0.1:${port}${address}`);
    for (const part of ["Page", "Network", "Runtime", "Log"]) await browser.#call(`${part}.enable`);
    const loaded = new Promise<void>((resolve) => (browser.#onLoad = resolve));
    await browser.#call("Page.navigate", { url: pathToFileURL(path).href });
    await loaded;
    return browser;
  }

  async #connect(url: string): Promise<void> {
    const socket = new WebSocket(url);
    this.#socket = socket;
    socket.addEventListener("message", ({ data }) => this.#take(JSON.parse(String(data)) as Message));
    await new Promise((resolve, reject) => {
      socket.addEventListener("open", resolve, { once: true });
      socket.addEventListener("error", () => reject(new Error(`no answer from ${url}`)), { once: true });
    });
    const { targetInfos } = (await this.#call("Target.getTargets")) as { targetInfos: { targetId: string; type: string }[] };
    const target = targetInfos.find(({ type }) => type === "page");
    const attached = await this.#call("Target.attachToTarget", { targetId: target?.targetId, flatten: true });
    this.#session = String(attached["sessionId"]);
  }

  #take({ id, method, params, result, error }: Message): void {
    const waiting = this.#waiting.get(id ?? -1);
    if (id !== undefined) this.#waiting.delete(id);
    if (error !== undefined) waiting?.reject(new Error(error.message));
    else waiting?.resolve(result ?? {});
    if (method === "Page.loadEventFired") this.#onLoad();
    if (method === "Network.requestWillBeSent") this.requested.push((params as { request: { url: string } }).request.url);
    if (method === "Runtime.consoleAPICalled" || method === "Runtime.exceptionThrown" || method === "Log.entryAdded") this.complaints.push(JSON.stringify(params));
  }

  #call(method: string, params: Record<string, unknown> = {}): Promise<Record<string, unknown>> {
    const id = ++this.#calls;
    const answer = new Promise<Record<string, unknown>>((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
    this.#socket?.send(JSON.stringify({ id, method, params, ...(this.#session !== undefined && { sessionId: this.#session }) }));
    return answer;
  }

  /** The value of an expression, evaluated in the page. */
  async evaluate(expression: string): Promise<unknown> {
    const { result } = (await this.#call("Runtime.evaluate", { expression, returnByValue: true })) as { result: { value: unknown } };
    return result.value;
  }

  /** How the page is looked at: so many pixels wide, in light or dark. */
  async look(widthPixels: number, scheme: "light" | "dark"): Promise<void> {
    await this.#call("Emulation.setDeviceMetricsOverride", { width: widthPixels, height: 900, deviceScaleFactor: 1, mobile: false });
    await this.#call("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: scheme }] });
  }

  /** The text that stands out least from its ground. */
  async lowestContrast(): Promise<{ ratio: number; text: string }> {
    return (await this.evaluate(LOWEST_CONTRAST)) as { ratio: number; text: string };
  }

  /** Presses the tab key; what has the focus then, and how wide its outline is. */
  async tab(): Promise<{ name: string | null; outline: number }> {
    for (const type of ["keyDown", "keyUp"]) await this.#call("Input.dispatchKeyEvent", { type, key: "Tab", code: "Tab", windowsVirtualKeyCode: 9 });
    return (await this.evaluate(FOCUSED)) as { name: string | null; outline: number };
  }

  /** The whole page, as PNG. */
  async screenshot(): Promise<Buffer> {
    return Buffer.from(String((await this.#call("Page.captureScreenshot", { captureBeyondViewport: true }))["data"]), "base64");
  }

  /** The page as it is printed, as PDF. */
  async print(): Promise<Buffer> {
    return Buffer.from(String((await this.#call("Page.printToPDF", { preferCSSPageSize: true }))["data"]), "base64");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket?.close();
    const ended = new Promise((resolve) => this.#child.once("exit", resolve));
    if (this.#child.pid !== undefined && this.#child.exitCode === null) {
      process.kill(-this.#child.pid, "SIGKILL");
      await ended;
    }
    rmSync(this.#profile, { recursive: true, force: true, maxRetries: 5 });
  }
}
