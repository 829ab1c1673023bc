/** Loaded before each test file while coverage is measured: Vitest ends its processes before Node would write what they reached. */
import { takeCoverage } from "node:v8";
import { afterAll } from "vitest";

afterAll(() => takeCoverage());
