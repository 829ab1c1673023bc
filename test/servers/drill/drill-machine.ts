/** A machine that drills: it has a kit and the regions, and keeps base systems of earlier drills in its state folder. */
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { DrillReport } from "../../../src/engine/drill/run.ts";
import type { DebianRoot } from "../../support/debian.ts";
import { runColdkeep } from "../../support/program.ts";

export type Drilled = { status: number | null; stderr: string; document: DrillReport & { error?: { message: string } } };

export class DrillMachine {
  /** Holds the regions `a` and `b`, the kit, the configuration and the state. */
  readonly work: string;
  readonly kit: string;

  private constructor(work: string) {
    this.work = work;
    this.kit = join(work, "kit.txt");
  }

  /** Takes over the regions and the kit that lie below /mnt of the machine that was archived. */
  static make(work: string, archived: DebianRoot): DrillMachine {
    execFileSync("cp", ["-a", `${archived.path}/mnt/.`, work]);
    const made = new DrillMachine(work);
    execFileSync("sed", ["-i", `s#file:///mnt/#file://${work}/#`, made.kit]);
    const { vault } = JSON.parse(readFileSync(join(work, "a/coldkeep.json"), "utf8")) as { vault: string };
    // Of the configuration only the state folder is of use here.
    writeFileSync(made.config, `vault: "${vault}"\nhost: drill-machine\nregions: [{name: a, url: "file://${work}/a"}]\nrecipients: [age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p]\nsources: [/etc]\nstate: ${made.state}\n`);
    return made;
  }

  get config(): string {
    return join(this.work, "coldkeep.yaml");
  }

  get state(): string {
    return join(this.work, "state");
  }

  async drill(args: string[]): Promise<Drilled> {
    const result = await runColdkeep(["drill", "-v", "--json", "--kit", this.kit, "--config", this.config, "--accept", "memory", "--accept", "cpus", ...args], { timeoutMs: 600_000 });
    return { status: result.status, stderr: result.stderr, document: result.json() };
  }
}
