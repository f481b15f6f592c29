import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { onTestFinished } from "vitest";

/** The series of an answer: their labels and values. */
export type Vector = readonly (readonly [
  labels: Readonly<Record<string, string>>,
  value: string,
])[];

/** Series; or a status without any; or a body as it is sent; or `hang`: none at all. */
export type StandInAnswer = Vector | number | string;

/** Answers queries as Prometheus does, until the test ends. Resolves to its address. */
export async function prometheusStandIn(
  answerTo: (query: string) => StandInAnswer | undefined,
): Promise<string> {
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (chunk) => {
      body += chunk;
    });
    request.on("end", () => {
      const answer = answerTo(new URLSearchParams(body).get("query") ?? "") ?? [];
      if (answer === "hang") return;
      if (typeof answer === "number") {
        response.writeHead(answer).end("{}");
      } else if (typeof answer === "string") {
        response.end(answer);
      } else {
        const result = answer.map(([metric, value]) => ({ metric, value: [1, value] }));
        response.end(JSON.stringify({ status: "success", data: { resultType: "vector", result } }));
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
