import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ColdkeepError } from "../../src/errors.ts";
import { formatLocation, formatRegionUrl, parseRegionUrl, type RegionUrl } from "../../src/storage/region-url.ts";

function refusal(text: string): ColdkeepError {
  try {
    parseRegionUrl(text);
  } catch (error) {
    if (error instanceof ColdkeepError) return error;
    throw error;
  }
  throw new Error(`${text} was accepted`);
}

describe("what is accepted", () => {
  test("a directory", () => {
    expect(parseRegionUrl("file:///mnt/usb/vault/")).toEqual({ kind: "directory", path: "/mnt/usb/vault" });
    expect(parseRegionUrl("file:///mnt/my%20disk/50%25")).toEqual({ kind: "directory", path: "/mnt/my disk/50%" });
  });

  test("a bucket with every parameter", () => {
    const text =
      "s3://bucket/some/prefix/?endpoint=http://127.0.0.1:7480&aws-region=eu-central&path-style=false&ca=/path/ca.pem" +
      "&proxy=http://proxy:3128/&storage-class=STANDARD_IA&profile=NAME&credentials-file=/path/keys";
    expect(parseRegionUrl(text)).toEqual({
      kind: "s3",
      bucket: "bucket",
      prefix: "some/prefix",
      endpoint: "http://127.0.0.1:7480",
      awsRegion: "eu-central",
      pathStyle: false,
      ca: "/path/ca.pem",
      proxy: "http://proxy:3128",
      storageClass: "STANDARD_IA",
      profile: "NAME",
      credentialsFile: "/path/keys",
    });
  });

  test("path style is the default with an endpoint and not without", () => {
    expect(parseRegionUrl("s3://bucket?endpoint=https://s3.example.org")).toMatchObject({ prefix: "", pathStyle: true });
    expect(parseRegionUrl("s3://bucket/p?aws-region=eu-west-1")).toMatchObject({ prefix: "p", pathStyle: false });
  });

  test("what is formatted parses to the same value, and a location tells nothing of this machine", () => {
    const part = fc.string({ unit: "grapheme", minLength: 1, maxLength: 8 }).filter((text) => !/[/\0-\x1f\x7f]/.test(text) && !/^\.\.?$/.test(text));
    const path = fc.array(part, { minLength: 1, maxLength: 4 }).map((parts) => `/${parts.join("/")}`);
    const s3 = fc.record(
      {
        kind: fc.constant("s3" as const),
        bucket: fc.constantFrom("abc", "my.bucket-1"),
        prefix: path.map((text) => text.slice(1)),
        pathStyle: fc.boolean(),
        endpoint: fc.constantFrom("http://127.0.0.1:7480", "https://[::1]:9000", "https://s3.example.org"),
        awsRegion: fc.constantFrom("eu-central", "us_1"),
        ca: path,
        proxy: fc.constant("http://proxy:3128"),
        storageClass: fc.constant("STANDARD_IA"),
        profile: part,
        credentialsFile: path,
      },
      { requiredKeys: ["kind", "bucket", "prefix", "pathStyle"] },
    );
    fc.assert(
      fc.property(fc.oneof(s3, fc.record({ kind: fc.constant("directory" as const), path })), (url: RegionUrl) => {
        expect(parseRegionUrl(formatRegionUrl(url))).toEqual(url);
        const location = parseRegionUrl(formatLocation(url));
        expect(Object.keys(location)).not.toContain("credentialsFile");
      }),
    );
  });
});

describe("what is refused, with a way out", () => {
  test.each([
    ["/mnt/usb", /file:\/\/\/mnt\/usb/],
    ["vault", /Write file/],
    ["fil:///mnt", /Did you mean "file"/],
    ["file://mnt/usb", /three slashes/],
    ["file:///mnt/../etc", /\.\./],
    ["file:///", /plain|without/],
    ["file:///mnt/%zz", /%25/],
    ["file:///mnt/%00", /without/],
    ["file:///mnt?x=1", /%3F/],
    ["s3://", /bucket/i],
    ["s3:///prefix", /bucket/i],
    ["s3://ab", /3 to 63/],
    ["s3://UP..dots", /3 to 63/],
    ["s3://127.0.0.1", /3 to 63/],
    ["s3://127.0.0.1:9000/bucket", /endpoint=/],
    ["s3://bucket/a//b", /single slashes/],
    ["s3://bucket/../b", /single slashes/],
    ["s3://bucket?endpiont=http://x", /Did you mean "endpoint"/],
    ["s3://bucket?region=eu", /Known are endpoint, aws-region/],
    ["s3://bucket?endpoint=127.0.0.1:9000", /https:\/\/host:port/],
    ["s3://bucket?endpoint=http://x/path", /without a path/],
    ["s3://bucket?endpoint=ftp://x", /https:\/\/host:port/],
    ["s3://bucket?path-style=ture", /Did you mean "true"/],
    ["s3://bucket?ca=ca.pem", /ca=\/path/],
    ["s3://bucket?credentials-file=keys", /credentials-file=\/path/],
    ["s3://bucket?ca=/a&ca=/b", /one of the two/],
    ["s3://bucket?ca=", /leave it out/],
    ["s3://bucket?storage-class=A%0d%0aB", /letters/],
    ["s3://bucket#x", /Write file/],
  ])("%s", (text, hint) => {
    const error = refusal(text);
    expect(error.code).toBe("E_URL");
    expect(error.hint).toMatch(hint);
  });

  test.each(["s3://KEY:hushhush@bucket/p", "s3://bucket?endpoint=http://user:hushhush@host", "s3://bucket?proxy=http://user:hushhush@host", "ftp://user:hushhush@host/"])(
    "credentials in %s, without repeating them",
    (text) => {
      const error = refusal(text);
      expect(error.code).toBe("E_URL");
      expect(`${error.message} ${error.hint}`).not.toContain("hushhush");
    },
  );
});
