import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readErrorAnswer, readFileAnswer, retryAfterOf } from "../../src/files/providers/answer.ts";
import {
  type ErrorMeaning,
  errorFor,
  glmErrors,
  kimiErrors,
  meaningOf,
} from "../../src/files/providers/error-table.ts";

const failure = { provider: "kimi", during: "uploading a file", reason: "HTTP 429" } as const;

describe("what an error of Kimi means", () => {
  it.each<[number, string, string, ErrorMeaning]>([
    [400, "invalid_request_error", "File size is zero, please re-upload", "content-refused"],
    [
      400,
      "invalid_request_error",
      "Invalid purpose: only 'file-extract' accepted",
      "content-refused",
    ],
    [400, "invalid_request_error", "you have uploaded exceeded the max file count 1000", "quota"],
    [400, "invalid_request_error", "Request body is not JSON", "rejected"],
    [400, "content_filter", "high risk", "content-refused"],
    [401, "invalid_authentication_error", "Invalid Authentication", "unauthorised"],
    [401, "incorrect_api_key_error", "Incorrect API key provided", "unauthorised"],
    [403, "permission_denied_error", "IP not allowed", "unauthorised"],
    [404, "resource_not_found_error", "", "rejected"],
    [429, "engine_overloaded_error", "overloaded", "throttled"],
    [429, "rate_limit_reached_error", "max RPM: 3, please try again after 1 seconds", "throttled"],
    [429, "rate_limit_reached_error", "max TPD: 1500000", "quota"],
    [429, "exceeded_current_quota_error", "check your plan", "quota"],
    [500, "server_error", "", "unavailable"],
    [500, "unexpected_output", "", "unavailable"],
    [503, "server_unavailable", "", "unavailable"],
    [429, "something_new", "", "throttled"],
    [418, "", "", "rejected"],
    [502, "", "", "unavailable"],
    [302, "", "", "rejected"],
  ])("%d %s %j: %s", (status, code, message, meaning) => {
    expect(meaningOf(kimiErrors, { status, code, message })).toBe(meaning);
  });
});

describe("what an error of GLM means", () => {
  it.each<[number, string, ErrorMeaning]>([
    [429, "1302", "throttled"],
    [429, "1303", "throttled"],
    [429, "1305", "throttled"],
    [429, "1312", "throttled"],
    [429, "", "throttled"],
    [429, "1113", "quota"],
    [429, "1112", "quota"],
    [429, "1121", "quota"],
    [429, "1304", "quota"],
    [429, "1308", "quota"],
    [429, "1310", "quota"],
    [401, "1001", "unauthorised"],
    [434, "", "unauthorised"],
    [435, "", "content-refused"],
    [400, "1210", "content-refused"],
    [400, "1211", "rejected"],
    [400, "1301", "content-refused"],
    [400, "1230", "unavailable"],
    [500, "500", "unavailable"],
    [503, "", "unavailable"],
  ])("%d %s: %s", (status, code, meaning) => {
    expect(meaningOf(glmErrors, { status, code, message: "" })).toBe(meaning);
  });
});

describe("a provider's error as ours", () => {
  it.each<[ErrorMeaning, string, number, boolean, string]>([
    ["throttled", "FILES_PROVIDER_THROTTLED", 429, true, "absent"],
    ["quota", "FILES_PROVIDER_QUOTA", 429, false, "absent"],
    ["unauthorised", "FILES_PROVIDER_UNAUTHORISED", 502, false, "absent"],
    ["unavailable", "FILES_PROVIDER_UNAVAILABLE", 503, true, "possible"],
    ["content-refused", "FILES_PROVIDER_REJECTED", 400, false, "absent"],
    ["rejected", "FILES_PROVIDER_REJECTED", 502, false, "absent"],
  ])("%s is %s with status %d", (meaning, code, status, retryable, effect) => {
    const error = errorFor(meaning, failure, true);
    expect(error).toMatchObject({ code, status, retryable, details: { provider: "kimi", effect } });
  });

  it("blames the user only for what the user sent", () => {
    expect(errorFor("content-refused", failure, false).status).toBe(502);
  });
});

describe("reading answers", () => {
  const answer = (body: string) => ({ status: 400, headers: {}, body });
  const key = "sk-secret";

  it("finds the kind of an error in both shapes, as text or number", () => {
    const kimi = '{"error":{"type":"server_error","message":"m"}}';
    const glm = '{"error":{"code":"1210","message":"m"}}';
    const number = '{"error":{"code":1210}}';
    expect(readErrorAnswer(answer(kimi), key)).toEqual({
      status: 400,
      code: "server_error",
      message: "m",
    });
    expect(readErrorAnswer(answer(glm), key).code).toBe("1210");
    expect(readErrorAnswer(answer(number), key)).toEqual({
      status: 400,
      code: "1210",
      message: "",
    });
  });

  it("never fails, never passes on the key, line breaks or long texts", () => {
    const anyJson = fc.oneof(
      fc.string(),
      fc.json(),
      fc.jsonValue().map((v) => JSON.stringify({ error: v })),
    );
    fc.assert(
      fc.property(anyJson, (body) => {
        const said = readErrorAnswer(answer(body), key);
        expect(said.message.length).toBeLessThanOrEqual(300);
        expect(readFileAnswer(body, "batch")).toBeUndefined();
      }),
    );
    const message = `${key}\r\n${"x".repeat(1000)}`;
    const said = readErrorAnswer(answer(JSON.stringify({ error: { type: key, message } })), key);
    expect(said.code).toBe("[key]");
    expect(said.message).toMatch(/^\[key\] x+$/);
  });

  it.each([
    [{ "retry-after": "7" }, 7],
    [{ "retry-after": "0.2" }, 1],
    [{ "retry-after-ms": "1500", "retry-after": "99" }, 2],
    [{ "retry-after": "Thu, 01 Jan 2026 00:01:00 GMT" }, 60],
    [{ "retry-after": "Wed, 31 Dec 2025 00:00:00 GMT" }, 0],
    [{ "retry-after": "999999999" }, 86_400],
    [{ "retry-after": "soon" }, undefined],
    [{ "retry-after-ms": "-5" }, undefined],
    [{}, undefined],
  ])("reads when to come back from %j", (headers, seconds) => {
    expect(
      retryAfterOf(headers as Record<string, string>, Date.parse("2026-01-01T00:00:00Z")),
    ).toBe(seconds);
  });

  it.each([
    ["ok", "", null],
    ["ready", "", null],
    ["processing", "", null],
    [null, null, null],
    ["ok", "parsed 3 pages", null],
    ["error", "", "its status is error"],
    ["parse_failed", "broken file", "broken file"],
  ])("takes status %j with details %j for failure %j", (status, details, expected) => {
    const body = { id: "f", bytes: 1, status, status_details: details };
    expect(readFileAnswer(JSON.stringify(body), "batch")?.failure).toBe(expected);
  });

  it("fills in what a provider leaves out", () => {
    expect(readFileAnswer('{"id":"f","bytes":1}', "batch")?.file).toEqual({
      id: "f",
      name: "",
      sizeBytes: 1,
      purpose: "batch",
      createdAt: "1970-01-01T00:00:00.000Z",
    });
  });
});
