import { defineConfig } from "vitest/config";

/**
 * Three projects: `unit` (modules, in process), `program` (the real program, from outside) and `servers` (what needs a
 * real server). Node itself loads the sources, by type stripping, so that worker URLs mean here what they mean in production.
 */
const needsServer = "test/**/*.server.test.ts";

export default defineConfig({
  test: {
    root: new URL("..", import.meta.url).pathname,
    pool: "forks",
    execArgv: ["--conditions=dev", "--disable-warning=ExperimentalWarning"],
    experimental: { viteModuleRunner: false, nodeLoader: false },
    passWithNoTests: false,
    projects: [
      {
        extends: true,
        test: {
          name: "unit",
          include: ["test/**/*.test.ts"],
          exclude: ["test/program/**", needsServer],
          testTimeout: 20_000,
        },
      },
      {
        extends: true,
        test: {
          name: "program",
          include: ["test/program/**/*.test.ts"],
          exclude: [needsServer],
          testTimeout: 120_000,
          hookTimeout: 60_000,
          maxWorkers: 2,
        },
      },
      {
        extends: true,
        test: {
          name: "servers",
          include: [needsServer],
          testTimeout: 600_000,
          hookTimeout: 120_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
