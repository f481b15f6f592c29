import { resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { readConfig, settings } from "../../src/app/config.ts";

describe("the configuration", () => {
  it("has a default for everything that needs one", () => {
    const config = readConfig({});
    expect(config).toMatchObject({
      host: "127.0.0.1",
      port: 8787,
      dataDir: resolve(".changeover"),
      supabaseUrl: null,
      drainMs: 2000,
    });
  });

  it("treats an empty variable as missing", () => {
    expect(readConfig({ CHANGEOVER_PORT: "" }).port).toBe(8787);
  });

  it.each([
    ["CHANGEOVER_PORT", "70000", /CHANGEOVER_PORT: "70000" is not accepted: use at most 65535/],
    ["CHANGEOVER_PORT", "abc", /whole number from 0 to 65535/],
    ["CHANGEOVER_PORT", "-1", /whole number/],
    ["CHANGEOVER_MAX_FILE_BYTES", "0", /use at least 1/],
    ["CHANGEOVER_MAX_FILE_BYTES", "1e9", /whole number/],
    ["CHANGEOVER_LOG_LEVEL", "loud", /CHANGEOVER_LOG_LEVEL/],
    ["CHANGEOVER_BLOCKED_TYPES", "exe, dll", /use MIME types, as in video/],
    ["CHANGEOVER_UPLOAD_CONCURRENCY", "1000", /at most 256/],
    ["CHANGEOVER_INSTANCE", "two words", /CHANGEOVER_INSTANCE: "two words".*80 printable/],
    [
      "CHANGEOVER_POSTGRES_URL",
      "mysql://u:secret@h/d",
      /the value is not accepted: use .*postgres:/,
    ],
    ["SUPABASE_URL", "not an address", /https:\/\/project\.supabase\.co/],
  ])("refuses %s=%s, saying what it accepts", (variable, value, why) => {
    expect(() => readConfig({ SUPABASE_SECRET_KEY: "sb_secret_x", [variable]: value })).toThrow(
      why,
    );
  });

  it("names every wrong setting at once", () => {
    const wrong = { CHANGEOVER_PORT: "x", CHANGEOVER_DRAIN_MS: "y" };
    expect(() => readConfig(wrong)).toThrow(/CHANGEOVER_PORT.*CHANGEOVER_DRAIN_MS/s);
  });

  it("never prints a token or a key that it refuses", () => {
    const short = { CHANGEOVER_OPERATOR_TOKEN: "hunter2" };
    expect(() => readConfig(short)).toThrow(/at least 16 characters/);
    expect(() => readConfig(short)).not.toThrow(/hunter2/);
  });

  it("wants address and key of Supabase together", () => {
    expect(() => readConfig({ SUPABASE_URL: "http://127.0.0.1:1" })).toThrow(/go together/);
  });

  it.each(["KIMI", "GLM"])("wants a key with the address of %s, and never ignores one", (name) => {
    const address = { [`${name}_BASE_URL`]: "https://example.com/v1" };
    const key = { [`${name}_API_KEY`]: "a key" };
    const own = { SUPABASE_URL: "http://127.0.0.1:1", SUPABASE_SECRET_KEY: "a key" };
    const problem = `${name}_BASE_URL and ${name}_API_KEY go together: set both or neither.`;
    for (const wrong of [address, { ...own, ...address }]) {
      expect(() => readConfig(wrong)).toThrow(problem);
    }
    // A key alone may be there for other programs; doctor tells of it.
    for (const right of [key, { ...own, ...key }, { ...own, ...address, ...key }]) {
      expect(readConfig(right).supabaseBucket).toBe("changeover-files");
    }
  });

  it("describes every setting", () => {
    expect(settings.every(({ variable, meaning }) => variable && meaning.endsWith("."))).toBe(true);
    expect(new Set(settings.map(({ variable }) => variable)).size).toBe(settings.length);
  });
});
