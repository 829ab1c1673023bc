import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ManifestHeader } from "../../src/format/manifest.ts";
import type { VaultRecord } from "../../src/format/record.ts";
import type { SeenArchive } from "../../src/policy/latest.ts";
import { judgeRevoked } from "../../src/policy/revocation.ts";

const OWN = "ed25519:own";
const STOLEN = "ed25519:stolen";

function archive(name: string, previous: string | null, signer = STOLEN): SeenArchive {
  const header = { id: name, previous: previous === null ? null : { id: previous, sha256: previous } };
  return { header: header as unknown as ManifestHeader, sha256: name, signer, regions: ["a"] };
}

function revoke(last: string, revoked = STOLEN): VaultRecord {
  return { kind: "revoke", record: { kind: "revoke", revoked, last: { id: last, sha256: last } } } as VaultRecord;
}

function expire(manifest: string, previous: string): VaultRecord {
  return { kind: "expire", record: { kind: "expire", manifest, previous: { id: previous, sha256: previous } } } as VaultRecord;
}

const names = (archives: readonly SeenArchive[]): string[] => archives.map(({ sha256 }) => sha256);

describe("a revoked signer", () => {
  const chain = [archive("1", null), archive("2", "1"), archive("3", "2"), archive("4", "3")];

  test("counts on its last good archive and what that follows, not on what came after or beside", () => {
    const beside = archive("2b", "1");
    const judged = judgeRevoked([...chain, beside], [revoke("3")]);
    expect(names(judged.valid)).toEqual(["1", "2", "3"]);
    expect(names(judged.void)).toEqual(["4", "2b"]);
  });

  test("leaves the archives of others as they are, also those that follow it", () => {
    const others = [archive("5", "3", OWN), archive("6", "5", OWN)];
    expect(names(judgeRevoked([...chain, ...others], [revoke("3")]).valid)).toEqual(["1", "2", "3", "5", "6"]);
    expect(names(judgeRevoked(chain, [revoke("3", OWN)]).valid)).toEqual(names(chain));
  });

  test("is followed across an archive that expired; across one that is simply gone nothing is proven", () => {
    const [first, , third, fourth] = chain;
    const left = [first, third, fourth].filter((each) => each !== undefined);
    expect(names(judgeRevoked(left, [revoke("3"), expire("2", "1")]).valid)).toEqual(["1", "3"]);
    expect(names(judgeRevoked(left, [revoke("3")]).valid)).toEqual(["3"]);
  });

  test("revoked twice counts by both records", () => {
    expect(names(judgeRevoked(chain, [revoke("3"), revoke("2")]).valid)).toEqual(["1", "2"]);
    expect(names(judgeRevoked(chain, [revoke("2"), revoke("3")]).valid)).toEqual(["1", "2"]);
  });

  test("never gains by whatever else its thief writes, nor does anybody else lose", () => {
    // A good chain, and a forest of forgeries that hang on it or on each other.
    const forgeries = fc.array(fc.tuple(fc.nat({ max: 40 }), fc.boolean()), { maxLength: 12 });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 8 }), fc.nat({ max: 7 }), forgeries, (length, at, forged) => {
        const good = Array.from({ length }, (_, n) => archive(`good ${n}`, n === 0 ? null : `good ${n - 1}`));
        const last = at % length;
        const made: SeenArchive[] = [];
        for (const [parent, isRoot] of forged) made.push(archive(`forged ${made.length}`, isRoot ? null : ([...good, ...made][parent % (length + made.length)]?.sha256 ?? null)));
        const judged = judgeRevoked([...good, ...made], [revoke(`good ${last}`)]);
        expect(names(judged.valid)).toEqual(good.slice(0, last + 1).map(({ sha256 }) => sha256));
        expect(judged.valid.length + judged.void.length).toBe(length + made.length);
      }),
    );
  });

  test("with records that name each other in a circle comes to an end", () => {
    expect(names(judgeRevoked([], [revoke("1"), expire("1", "2"), expire("2", "1")]).valid)).toEqual([]);
  });
});
