import { createServer } from "node:net";
import { toError } from "../../base/errors.ts";
import { listenFailed, portBusy } from "../../server/errors.ts";

/**
 * Why nothing can listen on `host:port`: `GATEWAY_PORT_BUSY` or `GATEWAY_LISTEN_FAILED`, to be thrown;
 * null when something can. Port 0 is always free. Another program may still be faster.
 */
export function portProblem(host: string, port: number): Promise<Error | null> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", (error: NodeJS.ErrnoException) => {
      const busy = error.code === "EADDRINUSE";
      resolve(busy ? portBusy(host, port, error) : listenFailed(host, port, toError(error)));
    });
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(null)));
  });
}
