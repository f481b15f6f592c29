import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { selectBytes } from "../../src/sandbox/supabase/storage/byte-range.ts";
import { isObjectKey, routeStorage } from "../../src/sandbox/supabase/storage/storage-route.ts";

const ETAG = '"abc"';

describe("selecting bytes", () => {
  it("never selects outside of the object, and always what was asked for inside of it", () => {
    fc.assert(
      fc.property(fc.nat(1000), fc.nat(1200), fc.nat(1200), (size, first, length) => {
        const last = first + length;
        const selection = selectBytes({ range: `bytes=${first}-${last}` }, size, ETAG);
        if (first >= size) expect(selection).toEqual({ kind: "unsatisfiable" });
        else
          expect(selection).toEqual({ kind: "part", start: first, end: Math.min(last, size - 1) });
      }),
    );
  });

  it("selects as many last bytes as asked for, or all there are", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1000 }),
        fc.integer({ min: 1, max: 1200 }),
        (size, n) => {
          const start = Math.max(0, size - n);
          const part = { kind: "part", start, end: size - 1 };
          expect(selectBytes({ range: `bytes=-${n}` }, size, ETAG)).toEqual(part);
        },
      ),
    );
  });

  it.each(["", "bytes=", "bytes=-", "bytes=a-b", "bytes=5-2", "items=0-1", "bytes=0-1,4-5"])(
    "ignores the Range %j",
    (range) => {
      expect(selectBytes({ range }, 10, ETAG)).toEqual({ kind: "whole" });
    },
  );

  it.each([
    ['"abc"', "unchanged"],
    ['W/"abc"', "unchanged"],
    ['"x", "abc"', "unchanged"],
    ["*", "unchanged"],
    ['"x"', "whole"],
  ])("answers If-None-Match %s with %s", (ifNoneMatch, kind) => {
    expect(selectBytes({ ifNoneMatch }, 10, ETAG).kind).toBe(kind);
  });
});

describe("the names of objects", () => {
  it.each(["a", "a/b c.txt", "contents/ab/0123", "it's (1)&$@=;:+,?!*.x"])("may be %j", (key) => {
    expect(isObjectKey(key)).toBe(true);
  });

  it.each([
    "",
    "/a",
    "a/",
    "a//b",
    "../a",
    "a/../b",
    "a/./b",
    "ü",
    "a#b",
    "a%b",
    "a[b",
    "a~",
    "a\\b",
  ])("may not be %j", (key) => {
    expect(isObjectKey(key)).toBe(false);
  });

  it("reach the embedded service as they were meant, however they were encoded", () => {
    const key = "dir/a b?c&d=e.txt";
    const encoded = key.split("/").map(encodeURIComponent).join("/");
    const url = new URL(`http://127.0.0.1/storage/v1/object/b/${encoded}`);
    expect(routeStorage("GET", url)).toEqual({
      route: { kind: "read", bucket: "b", key },
      path: "/storage/v1/object/b/dir/a%20b%3Fc&d=e.txt",
    });
  });

  it.each([
    ["GET", "/object/authenticated/b/k", "read"],
    ["GET", "/object/info/b/k", "info"],
    ["GET", "/object/sign/b/k?token=t", "read"],
    ["POST", "/object/sign/b/k", "sign-read"],
    ["POST", "/object/sign/b", "sign-many"],
    ["POST", "/object/upload/sign/b/k", "sign-write"],
    ["PUT", "/object/upload/sign/b/k?token=t", "write"],
    ["POST", "/object/list/b", "other"],
    ["POST", "/object/move", "other"],
    ["DELETE", "/object/b", "other"],
    ["PUT", "/object/b/k", "write"],
    ["POST", "/bucket", "bucket"],
  ])("of routes: %s %s is %s", (method, path, kind) => {
    const url = new URL(`http://127.0.0.1/storage/v1${path}`);
    expect(routeStorage(method, url)?.route.kind).toBe(kind);
  });
});
