import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, it } from "vitest";
import { recordState, stateText } from "../../../src/cli/commands/demo/console-state.ts";
import { startConsole } from "../../support/console-app.ts";

const view = { width: 1024, scale: 1, dark: false, until: "#charts" };
const asked = { operation: "files.info", view };

describe("a recorded state of the console", () => {
  it("has everything that a page is told first, and the history of one operation", async () => {
    const product = await startConsole();
    try {
      await product.call(3);
      const points = (): number => product.history.points("files.info").length;
      await expect.poll(points, { timeout: 15_000 }).toBeGreaterThan(0);
      const { message, ...rest } = await recordState(product.url, asked);
      expect(rest).toEqual(asked);
      expect(Object.keys(message).sort()).toEqual(
        ["at", "history", "journal", "mismatches", "operations", "process", "unlocked"].sort(),
      );
      expect(message.unlocked).toBe(false);
      expect(Object.keys(message.history)).toEqual(["files.info"]);
      expect(message.operations?.map(({ name }) => name)).toEqual(["files.upload", "files.info"]);
      const text = stateText({ ...rest, message });
      expect(JSON.parse(text)).toEqual({ ...rest, message });
      // A line for each point in time.
      const row = message.history["files.info"]?.[0];
      expect(text.split("\n").map((line) => line.replace(/,$/, "").trim())).toContain(
        JSON.stringify(row),
      );
    } finally {
      await product.close();
    }
  });

  it("is the same as JSON without any history", () => {
    const message = { at: "2026-01-01T00:00:00.000Z", unlocked: false, history: {} };
    expect(JSON.parse(stateText({ ...asked, message }))).toEqual({ ...asked, message });
  });

  it("is refused when the feed is", async () => {
    const server = createServer((_request, response) => response.writeHead(503).end("full"));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    try {
      const recorded = recordState(`http://127.0.0.1:${port}`, asked);
      await expect(recorded).rejects.toThrow("The console's feed said 503.");
    } finally {
      server.close();
    }
  });
});
