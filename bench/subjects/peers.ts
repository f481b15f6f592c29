import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createReadStream, readFileSync } from "node:fs";
import { stat } from "node:fs/promises";
import { connect } from "node:net";
import { Transform } from "node:stream";
import { createClient } from "@supabase/supabase-js";
import { Upload } from "tus-js-client";
import { Pool } from "undici";
import { systemClock } from "../../src/base/clock.ts";
import { CodedError } from "../../src/base/errors.ts";
import { fileSource, sourceChunks } from "../../src/files/source.ts";
import { BufferedStorage } from "../../src/files/storage/buffered-storage.ts";
import { SupabaseConnection } from "../../src/files/storage/supabase-connection.ts";
import { loadPutModules, streamingPut } from "./streaming-put.ts";
import type { NetworkSubject, TransferName, TransferTarget } from "./transfer.ts";

const PART_BYTES = 6 * 1024 * 1024;
const COPY_BLOCK_BYTES = 256 * 1024;

/** Opens one by its name. */
export async function openTransfer(
  name: TransferName,
  target: TransferTarget,
): Promise<NetworkSubject> {
  if (name === "changeover" || name === "changeover, hash known") {
    const modules = await loadPutModules(new URL("../../", import.meta.url));
    return streamingPut(modules, name, name !== "changeover")(target);
  }
  return openers[name](target);
}

const nothing = async (): Promise<void> => undefined;

const openers: Readonly<
  Record<
    Exclude<TransferName, "changeover" | "changeover, hash known">,
    (target: TransferTarget) => NetworkSubject
  >
> = {
  legacy: ({ url, secretKey, bucket }) => {
    const connection = new SupabaseConnection(
      { url, secretKey, bucket },
      { clock: systemClock, connections: "single-use", timeoutMs: null },
    );
    const storage = new BufferedStorage(connection, bucket);
    const { signal } = new AbortController();
    return {
      name: "legacy",
      send: async (path) => {
        const bytes = readFileSync(path);
        createHash("sha256").update(bytes).digest("hex");
        const object = { key: "bench.bin", sizeBytes: bytes.length, mimeType, open: () => bytes };
        await storage.put(object, signal);
      },
      close: () => connection.close(),
    };
  },
  "supabase-js, Buffer": (target) =>
    supabaseSubject("supabase-js, Buffer", target, (path) => readFileSync(path)),
  "supabase-js, stream": (target) =>
    supabaseSubject("supabase-js, stream", target, (path) => createReadStream(path)),
  "tus-js-client": ({ url, secretKey, bucket }) => ({
    name: "tus-js-client",
    send: async (path) => {
      const { size } = await stat(path);
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const stream = createReadStream(path);
      // The package's types are those of browsers; in Node it takes a readable stream.
      const upload = new Upload(stream as unknown as Buffer, {
        endpoint: `${url}/storage/v1/upload/resumable`,
        chunkSize: PART_BYTES,
        uploadSize: size,
        retryDelays: null as unknown as number[],
        headers: { authorization: `Bearer ${secretKey}`, "x-upsert": "true" },
        metadata: { bucketName: bucket, objectName: "bench.bin", contentType: mimeType },
        onSuccess: () => resolve(),
        onError: reject,
      });
      upload.start();
      await promise;
    },
    close: nothing,
  }),
  "undici stream": (target) => undiciSubject("undici stream", target, false),
  "undici stream + SHA-256": (target) => undiciSubject("undici stream + SHA-256", target, true),
  "curl -T": ({ url, secretKey, bucket }) => ({
    name: "curl -T",
    isForeign: true,
    send: async (path) => {
      const object = `${url}/storage/v1/object/${bucket}/bench.bin`;
      // Standard input carries the headers, so that no key is seen in the list of processes.
      const headers = `header = "authorization: Bearer ${secretKey}"\nheader = "Expect:"\n`;
      const args = ["-q", "-sS", "--fail", "-K", "-", "-o", "/dev/null", "-X", "POST", "-T", path];
      const curl = spawn("curl", [...args, object], { stdio: ["pipe", "ignore", "pipe"] });
      let problem = "";
      curl.stderr.on("data", (chunk: Buffer) => {
        problem = (problem + chunk.toString()).slice(-500);
      });
      curl.stdin.on("error", () => undefined);
      curl.stdin.end(headers);
      const [code] = (await once(curl, "close")) as [number | null];
      if (code !== 0) throw failed("curl", `exit code ${code} ${problem}`);
    },
    close: nothing,
  }),
  "SHA-256 of one core": () => ({
    name: "SHA-256 of one core",
    sendsNothing: true,
    send: async (path) => {
      const hash = createHash("sha256");
      for await (const chunk of sourceChunks(await fileSource(path))) hash.update(chunk);
      hash.digest("hex");
    },
    close: nothing,
  }),
  "bare loopback copy": ({ rawPort }) => ({
    name: "bare loopback copy",
    sendsNothing: true,
    send: async (path) => {
      const { size } = await stat(path);
      const socket = connect({ host: "127.0.0.1", port: rawPort, noDelay: true });
      await once(socket, "connect");
      const block = Buffer.alloc(COPY_BLOCK_BYTES);
      const header = Buffer.alloc(8);
      header.writeDoubleBE(size, 0);
      socket.write(header);
      const answered = once(socket, "data");
      for (let sent = 0; sent < size; sent += block.length) {
        const chunk = block.subarray(0, Math.min(block.length, size - sent));
        if (!socket.write(chunk)) await once(socket, "drain");
      }
      await answered;
      socket.destroy();
    },
    close: nothing,
  }),
};

const mimeType = "application/octet-stream";

function supabaseSubject(
  name: TransferName,
  { url, secretKey, bucket }: TransferTarget,
  bodyOf: (path: string) => Buffer | NodeJS.ReadableStream,
): NetworkSubject {
  const client = createClient(url, secretKey, {
    auth: { persistSession: false, autoRefreshToken: false, detectSessionInUrl: false },
  });
  return {
    name,
    send: async (path) => {
      const options = { contentType: mimeType, upsert: true, duplex: "half" };
      const { error } = await client.storage
        .from(bucket)
        .upload("bench.bin", bodyOf(path), options);
      if (error !== null) throw failed(name, error.message);
    },
    close: nothing,
  };
}

function undiciSubject(
  name: TransferName,
  { url, secretKey, bucket }: TransferTarget,
  withHash: boolean,
): NetworkSubject {
  const pool = new Pool(url, { connections: 16 });
  return {
    name,
    send: async (path) => {
      const { size } = await stat(path);
      const file = createReadStream(path, { highWaterMark: 256 * 1024 });
      const { statusCode, body } = await pool.request({
        method: "POST",
        path: `/storage/v1/object/${bucket}/bench.bin`,
        headers: {
          authorization: `Bearer ${secretKey}`,
          "content-type": mimeType,
          "content-length": String(size),
          "x-upsert": "true",
        },
        body: withHash ? file.pipe(hashedOnTheWay()) : file,
      });
      await body.dump();
      if (statusCode !== 200) throw failed(name, `status ${statusCode}`);
    },
    close: () => pool.close(),
  };
}

function hashedOnTheWay(): Transform {
  const hash = createHash("sha256");
  return new Transform({
    highWaterMark: 256 * 1024,
    transform: (chunk: Buffer, _encoding, done) => {
      hash.update(chunk);
      done(null, chunk);
    },
    flush: (done) => {
      hash.digest("hex");
      done();
    },
  });
}

function failed(name: string, why: string): CodedError {
  return new CodedError("BENCH_TRANSFER_FAILED", `${name} could not send the file: ${why}.`);
}
