import { STATUS_CODES } from "node:http";
import type { Socket } from "node:net";
import { type CodedError, codeOf } from "../../base/errors.ts";
import { badRequest, headersTooLarge } from "../errors.ts";
import { errorReply } from "./error-reply.ts";

/**
 * Answers what never became a request: broken HTTP, headers beyond the limit, headers that did not
 * come in time. The connection is closed after it.
 */
export function answerBrokenRequest(thrown: unknown, socket: Socket, headerBytes: number): void {
  if (codeOf(thrown) === "ECONNRESET" || !socket.writable) {
    socket.destroy();
    return;
  }
  const { status, body } = errorReply(brokenRequest(thrown, headerBytes));
  const text = JSON.stringify(body);
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    "Content-Type: application/json; charset=utf-8",
    `Content-Length: ${Buffer.byteLength(text)}`,
    "Connection: close",
  ];
  socket.end(`${head.join("\r\n")}\r\n\r\n${text}`);
}

function brokenRequest(thrown: unknown, headerBytes: number): CodedError {
  const code = codeOf(thrown);
  if (code === "HPE_HEADER_OVERFLOW") return headersTooLarge(`${headerBytes} bytes`);
  if (code === "ERR_HTTP_REQUEST_TIMEOUT") {
    return badRequest("The request's headers did not arrive in time.", 408);
  }
  return badRequest("The request is not valid HTTP/1.1.");
}
