/** How the accounts of an archived machine are merged into those of another: by name, with new numbers where a number is taken. */
import type { IdMap } from "../format/posix-acl.ts";
import type { Profile } from "../format/profile.ts";

export type User = Profile["users"][number];
export type Group = Profile["groups"][number];
export type Accounts = { users: readonly User[]; groups: readonly Group[] };

/** Something that gets another number than it had. */
export type Renumbered = { kind: "user" | "group"; name: string; was: number; is: number };

export type AccountPlan = {
  groups: { name: string; gid: number; system: boolean }[];
  users: (Omit<User, "gid"> & { gid: number })[];
  /** Names to add to groups that are there, or will be. */
  members: { group: string; user: string }[];
  renumbered: Renumbered[];
  /** For whatever names owners by number: ACLs, and files whose owner had no name. */
  ids: IdMap;
};

const HUMAN_MIN = 1000;
const SYSTEM_MAX = 999;
const ID_MAX = 60_000;

/** The first free number: upwards for people, downwards for the system's own. */
function freeId(taken: ReadonlySet<number>, system: boolean): number {
  if (system) for (let id = SYSTEM_MAX; id > 100; id--) if (!taken.has(id)) return id;
  for (let id = HUMAN_MIN; ; id++) if (!taken.has(id) && id !== ID_MAX) return id;
}

type Numbered = { name: string; id: number; system: boolean };

/** The number each name gets here; a name that is here keeps the one it has. */
function assign(archived: readonly Numbered[], here: readonly Numbered[]): Map<string, number> {
  const given = new Map(here.map(({ name, id }) => [name, id]));
  const taken = new Set(here.map(({ id }) => id));
  const missing = archived.filter(({ name }) => !given.has(name));
  const clashing = missing.filter(({ name, id }) => {
    if (taken.has(id)) return true;
    given.set(name, id);
    taken.add(id);
    return false;
  });
  // After all that can keep theirs: nobody is moved for the sake of one who has to move anyway.
  for (const { name, system } of clashing) {
    const id = freeId(taken, system);
    given.set(name, id);
    taken.add(id);
  }
  return given;
}

function renumbered(kind: Renumbered["kind"], archived: readonly Numbered[], given: ReadonlyMap<string, number>): Renumbered[] {
  return archived.flatMap(({ name, id }) => {
    const is = given.get(name);
    return is === undefined || is === id ? [] : [{ kind, name, was: id, is }];
  });
}

/** A plan that makes every archived account known here. Making the plan again after some of it was done gives the rest. */
export function planAccounts(archived: Accounts, here: Accounts): AccountPlan {
  const numbered = (accounts: Accounts): { users: Numbered[]; groups: Numbered[] } => ({
    users: accounts.users.map(({ name, uid, system }) => ({ name, id: uid, system })),
    groups: accounts.groups.map(({ name, gid, system }) => ({ name, id: gid, system })),
  });
  const [then, now] = [numbered(archived), numbered(here)];
  const gids = assign(then.groups, now.groups);
  const uids = assign(then.users, now.users);
  const groupOfGid = new Map(archived.groups.map(({ name, gid }) => [gid, name]));
  const known = { users: new Set(here.users.map(({ name }) => name)), groups: new Map(here.groups.map(({ name, members }) => [name, new Set(members)])) };
  const changed = [...renumbered("user", then.users, uids), ...renumbered("group", then.groups, gids)];
  const mapOf = (kind: Renumbered["kind"]): Map<number, number> => new Map(changed.filter((each) => each.kind === kind).map(({ was, is }) => [was, is]));
  return {
    groups: archived.groups.filter(({ name }) => !known.groups.has(name)).map(({ name, system, gid }) => ({ name, system, gid: gids.get(name) ?? gid })),
    users: archived.users.filter(({ name }) => !known.users.has(name)).map((user) => ({ ...user, uid: uids.get(user.name) ?? user.uid, gid: gids.get(groupOfGid.get(user.gid) ?? "") ?? user.gid })),
    members: archived.groups.flatMap(({ name, members }) => members.filter((user) => uids.has(user) && known.groups.get(name)?.has(user) !== true).map((user) => ({ group: name, user }))),
    renumbered: changed,
    ids: { users: mapOf("user"), groups: mapOf("group") },
  };
}
