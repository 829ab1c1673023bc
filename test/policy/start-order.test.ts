/** The order of services where no systemd makes it. */
import { expect, test } from "vitest";
import { isMachineUnit, scriptStartsAfter, startOrder, startsAfter } from "../../src/policy/start-order.ts";

test("what is needed comes first, through several steps; a circle is left where it closes", () => {
  const after = new Map([["app.service", ["postgresql.service", "redis.service", "network.target"]], ["nginx.service", ["app.service"]], ["redis.service", ["app.service"]]]);
  expect(startOrder(["nginx.service", "app.service", "cron.service", "redis.service", "postgresql.service"], after)).toEqual(["postgresql.service", "redis.service", "app.service", "nginx.service", "cron.service"]);
});

test("units and LSB scripts say what they start after", () => {
  expect(startsAfter("[Unit]\nAfter=network.target postgresql.service\nWants=redis.service\n[Service]\nExecStart=/bin/x After=no\n")).toEqual(["network.target", "postgresql.service", "redis.service"]);
  expect(scriptStartsAfter("#!/bin/sh\n### BEGIN INIT INFO\n# Required-Start:    $local_fs $network postgresql\n# Should-Start: redis-server\n### END INIT INFO\n")).toEqual(["postgresql.service", "redis-server.service"]);
});

test.each([["systemd-networkd.service", true], ["getty@tty1.service", true], ["networking.service", true], ["multi-user.target", true], ["coldkeep-web1.timer", true], ["nginx.service", false], ["ssh.service", false], ["postgresql@15-main.service", false], ["app.socket", false]])("%s is the machine's own: %s", (unit, is) => {
  expect(isMachineUnit(unit)).toBe(is);
});
