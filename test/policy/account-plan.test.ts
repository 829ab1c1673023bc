/** Merging the accounts of two machines. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Accounts, planAccounts } from "../../src/policy/account-plan.ts";

const user = (name: string, uid: number, gid = uid): Accounts["users"][number] => ({ name, uid, gid, comment: "", home: `/home/${name}`, shell: "/bin/sh", system: uid < 1000 });
const group = (name: string, gid: number, members: string[] = []): Accounts["groups"][number] => ({ name, gid, members, system: gid < 1000 });

describe("planAccounts", () => {
  test("a cloud image's first user has the number of ours: ours gets another, with its group, and ACLs are told", () => {
    const plan = planAccounts({ users: [user("alice", 1000), user("bob", 1001)], groups: [group("alice", 1000), group("bob", 1001)] }, { users: [user("debian", 1000)], groups: [group("debian", 1000)] });
    expect(plan.users.map(({ name, uid, gid }) => [name, uid, gid])).toEqual([["alice", 1002, 1002], ["bob", 1001, 1001]]);
    expect(plan.groups.map(({ name, gid }) => [name, gid])).toEqual([["alice", 1002], ["bob", 1001]]);
    expect(plan.ids.users).toEqual(new Map([[1000, 1002]]));
    expect(plan.renumbered).toContainEqual({ kind: "user", name: "alice", was: 1000, is: 1002 });
  });

  test("an account that is here keeps its number, whatever it was", () => {
    const plan = planAccounts({ users: [user("postgres", 110, 118)], groups: [group("postgres", 118)] }, { users: [user("postgres", 105, 113)], groups: [group("postgres", 113)] });
    expect(plan.users).toEqual([]);
    expect(plan.groups).toEqual([]);
    expect(plan.ids).toEqual({ users: new Map([[110, 105]]), groups: new Map([[118, 113]]) });
  });

  test("the system's own move downwards from 999, and a group's missing members are added", () => {
    const plan = planAccounts({ users: [user("app", 100), user("carol", 1003)], groups: [group("app", 100), group("sudo", 27, ["carol", "nobody-knows"])] }, { users: [user("messagebus", 100)], groups: [group("messagebus", 100), group("sudo", 27)] });
    expect(plan.users.find(({ name }) => name === "app")).toMatchObject({ uid: 999, gid: 999 });
    expect(plan.members).toEqual([{ group: "sudo", user: "carol" }]);
  });

  const accounts = (prefix: string): fc.Arbitrary<Accounts> =>
    fc.uniqueArray(fc.record({ name: fc.constantFrom(...["a", "b", "c", "d", "e", "f"].map((each) => `${prefix}${each}`), "both1", "both2"), id: fc.integer({ min: 90, max: 1010 }) }), { selector: ({ name }) => name, maxLength: 8 }).map((list) => {
      const unique = list.filter(({ id }, index) => list.findIndex((other) => other.id === id) === index);
      return { users: unique.map(({ name, id }) => user(name, id)), groups: unique.map(({ name, id }) => group(name, id)) };
    });

  test("no two names share a number, everybody archived is known afterwards, and a second plan has nothing to do", () => {
    fc.assert(
      fc.property(accounts("x"), accounts("y"), (archived, here) => {
        const plan = planAccounts(archived, here);
        const after: Accounts = { users: [...here.users, ...plan.users], groups: [...here.groups, ...plan.groups.map((each) => ({ ...each, members: [] }))] };
        expect(new Set(after.users.map(({ uid }) => uid)).size).toBe(after.users.length);
        expect(new Set(after.groups.map(({ gid }) => gid)).size).toBe(after.groups.length);
        for (const { name, uid } of archived.users) {
          const is = after.users.find((each) => each.name === name)?.uid;
          expect(plan.ids.users.get(uid) ?? uid).toBe(is);
        }
        const again = planAccounts(archived, after);
        expect([again.users, again.groups, again.ids]).toEqual([[], [], plan.ids]);
      }),
    );
  });
});
