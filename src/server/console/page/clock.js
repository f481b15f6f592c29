/**
 * The page's only reader of time.
 */

/** Milliseconds since the page came; only differences mean anything. */
export const monotonicMs = () => performance.now();

/** Wall-clock milliseconds of this machine, which may differ from the server's. */
export const wallMs = () => Date.now();

/**
 * Calls `fn` every `ms` milliseconds for as long as the page lives.
 * @param {number} ms
 * @param {() => void} fn
 */
export function every(ms, fn) {
  setInterval(fn, ms);
}

/**
 * Calls `fn` once after `ms` milliseconds; the returned function prevents it.
 * @param {number} ms
 * @param {() => void} fn
 */
export function after(ms, fn) {
  const timer = setTimeout(fn, ms);
  return () => clearTimeout(timer);
}

/**
 * Resolves after `ms` milliseconds.
 * @param {number} ms
 * @returns {Promise<void>}
 */
export function wait(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
