/** What a request to the storage API asks for, as far as its answer needs correcting. */
export type StorageRoute =
  | {
      readonly kind: "write";
      readonly bucket: string;
      readonly key: string;
      readonly token?: string;
    }
  | {
      readonly kind: "read";
      readonly bucket: string;
      readonly key: string;
      readonly token?: string;
    }
  | { readonly kind: "info"; readonly bucket: string; readonly key: string }
  | { readonly kind: "sign-read" | "sign-many" | "sign-write" }
  | { readonly kind: "bucket" }
  | { readonly kind: "other" };

interface Pattern {
  readonly methods: readonly string[];
  readonly path: RegExp;
  readonly kind: StorageRoute["kind"];
}

/** The routes of the storage API below `/storage/v1`; the first match wins. */
const PATTERNS: readonly Pattern[] = [
  { methods: ["GET", "HEAD"], path: /^\/object\/sign\/([^/]+)\/(.+)$/, kind: "read" },
  { methods: ["POST"], path: /^\/object\/sign\/[^/]+\/.+$/, kind: "sign-read" },
  { methods: ["POST"], path: /^\/object\/sign\/[^/]+$/, kind: "sign-many" },
  { methods: ["PUT"], path: /^\/object\/upload\/sign\/([^/]+)\/(.+)$/, kind: "write" },
  { methods: ["POST"], path: /^\/object\/upload\/sign\/[^/]+\/.+$/, kind: "sign-write" },
  { methods: ["GET", "HEAD"], path: /^\/object\/info\/([^/]+)\/(.+)$/, kind: "info" },
  { methods: ["GET", "HEAD"], path: /^\/object\/public\/([^/]+)\/(.+)$/, kind: "read" },
  { methods: ["POST"], path: /^\/object\/(list\/|list-v2\/|move$|copy$)/, kind: "other" },
  { methods: ["GET", "HEAD"], path: /^\/object\/([^/]+)\/(.+)$/, kind: "read" },
  { methods: ["POST", "PUT"], path: /^\/object\/([^/]+)\/(.+)$/, kind: "write" },
  { methods: ["GET", "POST", "PUT", "DELETE"], path: /^\/bucket(\/|$)/, kind: "bucket" },
];

/** Where the storage API lives. */
export const STORAGE_PREFIX = "/storage/v1";

/** A request to the storage API: what it asks for, and the path under which the service knows it. */
export interface RoutedRequest {
  readonly route: StorageRoute;
  readonly path: string;
}

/** Reads the request line of a storage request; undefined when the path is not valid percent-encoding. */
export function routeStorage(method: string, url: URL): RoutedRequest | undefined {
  const decoded = decodePath(url.pathname.slice(STORAGE_PREFIX.length));
  if (decoded === undefined) return undefined;
  // The real server has the same routes with an explicit audience; the service does not know those.
  const path = decoded.replace(/^\/object\/(info\/)?authenticated\//, "/object/$1");
  const route = matchRoute(method, path, url.searchParams.get("token") ?? undefined);
  return { route, path: STORAGE_PREFIX + encodePath(path) };
}

/** May this be the key of an object? The rule of the real server, which also refuses dot segments. */
export function isObjectKey(key: string): boolean {
  if (!/^[\w/!\-.*'() &$@=;:+,?]+$/.test(key) || key.length > 1024) return false;
  return key.split("/").every((segment) => segment !== "." && segment !== ".." && segment !== "");
}

function matchRoute(method: string, path: string, token: string | undefined): StorageRoute {
  for (const pattern of PATTERNS) {
    const match = pattern.methods.includes(method) ? pattern.path.exec(path) : null;
    if (match === null) continue;
    const [, bucket = "", key = ""] = match;
    const signed = path.includes("/sign/") ? { token: token ?? "" } : {};
    switch (pattern.kind) {
      case "read":
      case "write":
        return { kind: pattern.kind, bucket, key, ...signed };
      case "info":
        return { kind: "info", bucket, key };
      default:
        return { kind: pattern.kind };
    }
  }
  return { kind: "other" };
}

function decodePath(path: string): string | undefined {
  try {
    return decodeURIComponent(path);
  } catch {
    return undefined;
  }
}

/** A path in the one form that the service decodes back to the same text. */
export function encodePath(path: string): string {
  return encodeURI(path).replaceAll("?", "%3F").replaceAll("#", "%23");
}
