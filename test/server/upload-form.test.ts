import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { uploadFields } from "../../src/server/files/upload-form.ts";
import { startGateway, type TestGateway } from "../support/gateway-app.ts";
import { sendRaw } from "../support/raw-http.ts";

type Part = readonly [name: string, value: string | Blob, fileName?: string];

function formOf(parts: readonly Part[]): FormData {
  const form = new FormData();
  for (const [name, value, fileName] of parts) {
    if (typeof value === "string") form.append(name, value);
    else form.append(name, value, fileName);
  }
  return form;
}

const file: Part = ["file", new Blob(["content"]), "a.txt"];
const purpose: Part = ["purpose", "user_data"];

describe("an upload by form", () => {
  let gateway: TestGateway;
  const post = (parts: readonly Part[]) =>
    fetch(`${gateway.url}/v1/files`, { method: "POST", body: formOf(parts) });
  const expectRefusal = async (
    response: Response,
    status: number,
    code: string,
    param?: string,
  ) => {
    const body = await response.json();
    expect(body).toMatchObject({ error: { code, ...(param === undefined ? {} : { param }) } });
    expect(response.status).toBe(status);
    expect(await gateway.spooled()).toEqual([]);
  };
  beforeAll(async () => {
    gateway = await startGateway({ maxFileBytes: 1_000_000 });
  });
  afterAll(() => gateway.close());

  it("may have its parts in any order, and metadata in either form", async () => {
    const provider: Part = ["provider", "kimi"];
    const orders: Part[][] = [
      [purpose, provider, ["metadata", '{"project":"x"}'], file],
      [file, ["metadata[project]", "x"], provider, purpose],
    ];
    for (const [index, parts] of orders.entries()) {
      const named = parts.map((part) =>
        part[0] === "purpose" ? ["purpose", "file-extract"] : part,
      );
      const response = await post(named as Part[]);
      expect(await response.json()).toMatchObject({ filename: "a.txt", provider: "kimi" });
      const stored = [...gateway.store.files.values()][index];
      expect(stored?.file.metadata).toEqual({ project: "x" });
    }
  });

  it("names what is missing", async () => {
    await expectRefusal(await post([purpose]), 400, "GATEWAY_MISSING_FIELD", "file");
    await expectRefusal(await post([file]), 400, "GATEWAY_MISSING_FIELD", "purpose");
    await expectRefusal(
      await post([file, ["purpose", ""]]),
      400,
      "GATEWAY_MISSING_FIELD",
      "purpose",
    );
    const neither = await (await post([["provider", "none"]])).json();
    expect(JSON.stringify(neither)).toContain("`file` and `purpose`");
  });

  it("has one file, in the part named file", async () => {
    await expectRefusal(await post([purpose, file, file]), 400, "GATEWAY_INVALID_REQUEST", "file");
    await expectRefusal(
      await post([purpose, ["upload", new Blob(["x"]), "x.txt"]]),
      400,
      "GATEWAY_INVALID_REQUEST",
      "upload",
    );
    await expectRefusal(
      await post([purpose, ["file", "text"]]),
      400,
      "GATEWAY_INVALID_REQUEST",
      "file",
    );
  });

  it("has no fields that nobody knows, none twice, none that is too long, and not too many", async () => {
    const refused: (readonly [Part, string])[] = [
      [["expires_after[seconds]", "3600"], "expires_after[seconds]"],
      [["purpose", "batch"], "purpose"],
      [["provider", "x".repeat(20_000)], "provider"],
    ];
    for (const [part, param] of refused) {
      await expectRefusal(await post([file, purpose, part]), 400, "GATEWAY_INVALID_REQUEST", param);
    }
    const many = Array.from({ length: 60 }, (_, index): Part => [`metadata[k${index}]`, "v"]);
    await expectRefusal(
      await post([file, purpose, ...many]),
      400,
      "GATEWAY_INVALID_REQUEST",
      "form",
    );
  });

  it("refuses a file that grows past the limit with 413", async () => {
    const large: Part = ["file", new Blob([new Uint8Array(1_500_000)]), "large.bin"];
    await expectRefusal(await post([purpose, large]), 413, "FILES_TOO_LARGE", "file");
  });

  it("is told that its body is no form", async () => {
    const send = (type: string, body: string) =>
      fetch(`${gateway.url}/v1/files`, { method: "POST", body, headers: { "content-type": type } });
    await expectRefusal(await send("application/json", "{}"), 415, "GATEWAY_UNSUPPORTED_BODY");
    await expectRefusal(
      await send("multipart/form-data; nothing=1", "x"),
      400,
      "GATEWAY_INVALID_MULTIPART",
    );
    const open = '--b\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\nhalf of';
    for (const body of [open, "no boundary at all", "--b--", ""]) {
      const response = await send("multipart/form-data; boundary=b", body);
      expect(response.status).toBe(400);
      expect(await gateway.spooled()).toEqual([]);
    }
    const missing = await fetch(`${gateway.url}/v1/files`, { method: "POST" });
    await expectRefusal(missing, 415, "GATEWAY_UNSUPPORTED_BODY");
  });

  it("is read however its bytes are cut", async () => {
    const body = [
      "--cut\r\n",
      'Content-Disposition: form-data; name="file"; filename="cut.txt"\r\n\r\n',
      "abc\r\n--cu not the end\r\n",
      '\r\n--cut\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nuser_data\r\n--cut--\r\n',
    ].join("");
    const chunks = [...body].map((byte) => `1\r\n${byte}\r\n`).join("");
    const head =
      "POST /v1/files HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n" +
      "content-type: multipart/form-data; boundary=cut\r\ntransfer-encoding: chunked\r\n\r\n";
    const answer = await sendRaw(gateway.port, `${head}${chunks}0\r\n\r\n`);
    expect(answer).toContain("200 OK");
    const stored = [...gateway.store.files.values()].at(-1);
    expect(stored?.bytes.toString()).toBe("abc\r\n--cu not the end\r\n");
  });

  it("with endless noise around its parts is cut off at the limit of the form", async () => {
    const noise = new Blob(["x".repeat(2_200_000)]);
    const response = await fetch(`${gateway.url}/v1/files`, {
      method: "POST",
      body: noise.stream(),
      duplex: "half",
      headers: { "content-type": "multipart/form-data; boundary=never" },
    } as RequestInit);
    await expectRefusal(response, 413, "GATEWAY_BODY_TOO_LARGE");
  });
});

describe("metadata", () => {
  const refused = (fields: Record<string, string>) => () =>
    uploadFields(new Map(Object.entries(fields)));

  it("is a record of text", () => {
    for (const metadata of ["[]", "null", "{", '{"a":1}', '{"a":{}}']) {
      expect(refused({ metadata })).toThrow(/`metadata` must be a JSON object/);
    }
  });

  it("has at most 16 keys of 64 characters and values of 512", () => {
    const pairs = Array.from({ length: 17 }, (_, index) => [`metadata[${index}]`, ""]);
    expect(refused(Object.fromEntries(pairs))).toThrow(/17 keys/);
    expect(refused({ [`metadata[${"k".repeat(65)}]`]: "" })).toThrow(/too long/);
    expect(refused({ "metadata[k]": "v".repeat(513) })).toThrow(/too long/);
  });

  it("cannot reach the prototype of anything", () => {
    const { metadata } = uploadFields(new Map([["metadata[__proto__]", "x"]]));
    expect(Object.getPrototypeOf(metadata)).toBe(Object.prototype);
    expect(Object.keys(metadata)).toEqual(["__proto__"]);
  });
});

describe("types that are blocked", () => {
  it("are refused by the bytes, whatever the file calls itself, and leave nothing behind", async () => {
    const gateway = await startGateway({
      environment: { CHANGEOVER_BLOCKED_TYPES: "application/x-msdownload,video/*" },
    });
    const put = async (name: string, body: Buffer) => {
      const answer = await fetch(`${gateway.url}/v1/files/${name}`, {
        method: "PUT",
        body: new Uint8Array(body),
      });
      return { status: answer.status, text: await answer.text() };
    };
    const program = Buffer.from("4d5a900003000000", "hex");
    const movie = Buffer.from("000000186674797069736f6d0000020069736f6d69736f32", "hex");
    for (const body of [program, movie]) {
      const refused = await put("holiday.pdf", body);
      expect(refused.status).toBe(415);
      expect(JSON.parse(refused.text)).toMatchObject({ error: { code: "FILES_BLOCKED_TYPE" } });
      expect(refused.text).toContain("CHANGEOVER_BLOCKED_TYPES");
    }
    expect((await put("holiday.txt", Buffer.from("text"))).status).toBe(201);
    expect(gateway.store.files.size).toBe(1);
    expect(await gateway.spooled()).toEqual([]);
    await gateway.close();
  });
});
