import { defineConfig } from "vitest/config";

/**
 * `unit` (modules, in process), `program` (the real program, from outside), `faults` (the program among faults of every kind, and what else is slow),
 * `servers` (what needs a real server), `long` (the same over many minutes) and `soak` (for as long as one likes). Node itself loads the sources, by type
 * stripping, so that worker URLs mean here what they mean in production.
 */
const serverTests = "test/**/*.server.test.ts";
const slowTests = "test/**/*.slow.test.ts";
const longTests = "test/**/*.long.test.ts";
/** Much of their time they wait: for a clock tick to pass, a time-out to end. */
const PROGRAMS_AT_ONCE = 5;

if (Number(process.versions.node.split(".")[0]) < 26) {
  throw new Error(`tests need Node 26 and this is ${process.version}: run them through npm (\`npm test\`), after \`npm ci\``);
}

export default defineConfig({
  test: {
    root: new URL("..", import.meta.url).pathname,
    pool: "forks",
    execArgv: ["--conditions=dev", "--disable-warning=ExperimentalWarning"],
    experimental: { viteModuleRunner: false, nodeLoader: false },
    passWithNoTests: false,
    ...(process.env["NODE_V8_COVERAGE"] !== undefined && { setupFiles: ["test/support/take-coverage.ts"] }),
    projects: [
      {
        extends: true,
        test: {
          name: "unit",
          include: ["test/**/*.test.ts"],
          exclude: ["test/program/**", "test/faults/**", "test/soak/**", serverTests, slowTests, longTests],
          testTimeout: 20_000,
          maxWorkers: 4,
          // Projects with different numbers of workers run one after the other.
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: "program",
          include: ["test/program/**/*.test.ts"],
          exclude: [serverTests, slowTests],
          testTimeout: 120_000,
          hookTimeout: 60_000,
          maxWorkers: PROGRAMS_AT_ONCE,
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          name: "faults",
          include: ["test/faults/**/*.test.ts", slowTests],
          testTimeout: 120_000,
          hookTimeout: 60_000,
          maxWorkers: PROGRAMS_AT_ONCE,
          sequence: { groupOrder: 2 },
        },
      },
      {
        extends: true,
        test: {
          name: "servers",
          include: [serverTests],
          testTimeout: 600_000,
          hookTimeout: 120_000,
          maxWorkers: 2,
          sequence: { groupOrder: 3 },
        },
      },
      {
        extends: true,
        test: {
          name: "long",
          include: [longTests],
          testTimeout: 900_000,
          hookTimeout: 120_000,
          fileParallelism: false,
          sequence: { groupOrder: 4 },
        },
      },
      {
        extends: true,
        test: {
          name: "soak",
          include: ["test/soak/**/*.test.ts"],
          // It looks at the clock itself.
          testTimeout: 2_000_000_000,
          hookTimeout: 120_000,
          sequence: { groupOrder: 5 },
        },
      },
    ],
  },
});
