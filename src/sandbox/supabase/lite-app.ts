import { join } from "node:path";
import { App } from "@supabase/lite";
import { createConnection } from "@supabase/lite/sqlite";
import { postgresErrorOf } from "./database-error.ts";
import { applyMigrations, loadSchema } from "./migrations.ts";
import { BlobStore } from "./storage/blob-store.ts";
import { type ObjectRows, objectRows } from "./storage/object-rows.ts";
import { createStorageAdapter } from "./storage/storage-adapter.ts";

/** The keys of the backend; the first two are what clients send. */
export interface SupabaseKeys {
  readonly secretKey: string;
  readonly publishableKey: string;
  /** Signs the tokens of signed URLs. */
  readonly jwtSecret: string;
}

/** What the embedded service is made of. */
export interface LiteAppOptions {
  /** Holds `database.sqlite` and `blobs/`. */
  readonly folder: string;
  readonly migrationsFolder: string;
  readonly keys: SupabaseKeys;
  readonly bucket: string;
  readonly maxObjectBytes: number;
}

/** The embedded service, ready for requests. */
export interface LiteApp {
  fetch(request: Request): Promise<Response>;
  readonly blobs: BlobStore;
  readonly rows: ObjectRows;
  close(): Promise<void>;
}

/** Opens the database, applies what is new in `supabase/migrations`, and makes the bucket. */
export async function openLiteApp(options: LiteAppOptions): Promise<LiteApp> {
  const { folder, keys, maxObjectBytes } = options;
  const connection = createConnection({
    url: `file:${join(folder, "database.sqlite")}`,
    ddlDialect: "postgres",
  });
  connection.driver.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;");
  const normalize = connection.normalizeDbError.bind(connection);
  connection.normalizeDbError = (error) => postgresErrorOf(error) ?? normalize(error);
  const app = new App({
    connection,
    auth: {
      enabled: true,
      jwt_secret: keys.jwtSecret,
      publishable_key: keys.publishableKey,
      secret_key: keys.secretKey,
    },
    storage: { enabled: true, file_size_limit: `${maxObjectBytes}B` },
    studio: { enabled: false },
  });
  const blobs = await BlobStore.open(join(folder, "blobs"));
  // The service makes its storage tables only for an app with an adapter, and ours reads those tables.
  let tables: ObjectRows | undefined;
  const rows: ObjectRows = {
    find: (bucket, name) => tables?.find(bucket, name),
    isUsed: (blob) => tables?.isUsed(blob) ?? true,
    sizeLimit: (bucket) => tables?.sizeLimit(bucket),
    mimeTypes: (bucket) => tables?.mimeTypes(bucket),
  };
  app._storageAdapter = createStorageAdapter({ blobs, rows, maxObjectBytes });
  await app.init();
  await app.ensureSystemSchema();
  await applyMigrations(connection, options.migrationsFolder);
  await loadSchema(connection);
  tables = objectRows(connection.driver);
  await blobs.sweep(rows.isUsed);
  const fetchApp = (request: Request): Promise<Response> =>
    app.fetch(request, { peerAddress: null });
  await ensureBucket(fetchApp, options);
  return { fetch: fetchApp, blobs, rows, close: () => connection.close() };
}

async function ensureBucket(
  fetchApp: LiteApp["fetch"],
  { bucket, keys }: LiteAppOptions,
): Promise<void> {
  const reply = await fetchApp(
    new Request("http://127.0.0.1/storage/v1/bucket", {
      method: "POST",
      headers: { apikey: keys.secretKey, "content-type": "application/json" },
      body: JSON.stringify({ id: bucket, name: bucket, public: false }),
    }),
  );
  const body = (await reply.json()) as { statusCode?: string };
  if (!reply.ok && body.statusCode !== "409") {
    throw new Error(`The bucket ${bucket} cannot be made: ${JSON.stringify(body)}`);
  }
}
