import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { Pool } from "undici";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ManualClock } from "../../src/base/manual-clock.ts";
import { SpareSockets } from "../../src/files/storage/sockets/spare-sockets.ts";

let server: Server;
let sockets: Socket[];
let origin: URL;
let clock: ManualClock;
let spares: SpareSockets;
let pool: Pool;

beforeEach(async () => {
  sockets = [];
  server = createServer((_request, response) => response.end("here"));
  server.on("connection", (socket: Socket) => sockets.push(socket));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  origin = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  clock = new ManualClock();
  open(4);
});

afterEach(async () => {
  spares.close();
  await pool.destroy();
  server.closeAllConnections();
  server.close();
});

function open(max: number): void {
  spares = new SpareSockets(origin, { clock, max, connectMs: 2000, allowH2: false });
  pool = new Pool(origin, { connections: max, connect: spares.connector });
}

async function get(): Promise<string> {
  const { body } = await pool.request({ method: "GET", path: "/" });
  return body.text();
}

const connected = (count: number) => expect.poll(() => sockets.length).toBe(count);
const alive = () => sockets.filter((socket) => !socket.destroyed).length;

describe("spare connections", () => {
  it("are opened before anything is asked, and taken by the first requests", async () => {
    spares.want(2);
    await connected(2);
    expect(await Promise.all([get(), get()])).toEqual(["here", "here"]);
    expect(sockets).toHaveLength(2);
  });

  it("are not opened twice, nor where the pool has enough already", async () => {
    spares.want(1);
    spares.want(2);
    await connected(2);
    await Promise.all([get(), get()]);
    spares.want(2);
    await (await fetch(origin)).text();
    // The one of `fetch`, which is none of ours.
    expect(sockets).toHaveLength(3);
  });

  it("never become more than the pool may have", async () => {
    spares.want(100);
    await connected(4);
    expect(await Promise.all(Array.from({ length: 8 }, get))).toHaveLength(8);
    expect(sockets).toHaveLength(4);
  });

  it("are closed when nobody takes them", async () => {
    spares.want(3);
    await connected(3);
    clock.advance(3000);
    await expect.poll(alive).toBe(0);
    expect(await get()).toBe("here");
  });

  it("that the server has closed meanwhile are replaced", async () => {
    spares.want(1);
    await connected(1);
    sockets[0]?.resetAndDestroy();
    // Whatever the server sends first has arrived once it answers somebody else.
    await (await fetch(origin)).text();
    expect(await get()).toBe("here");
  });

  it("that cannot be opened are no error until somebody needs one", async () => {
    server.close();
    await once(server, "close");
    spares.want(2);
    await expect(get()).rejects.toMatchObject({ code: "ECONNREFUSED" });
  });

  it("are gone after closing, and no more are opened", async () => {
    spares.want(2);
    await connected(2);
    spares.close();
    spares.want(2);
    await expect.poll(alive).toBe(0);
    expect(sockets).toHaveLength(2);
  });
});
