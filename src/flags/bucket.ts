/**
 * MurmurHash3, x86, 32 bits, by Austin Appleby (public domain): the hash that Unleash distributes keys
 * with. Works on the low byte of each UTF-16 unit, as the JavaScript SDKs of Unleash do, so that a key
 * falls into the same bucket here and there.
 */
export function murmur3(text: string, seed = 0): number {
  const length = text.length;
  const blocksEnd = length - (length % 4);
  let hash = seed;
  for (let at = 0; at < blocksEnd; at += 4) {
    const block =
      (text.charCodeAt(at) & 0xff) |
      ((text.charCodeAt(at + 1) & 0xff) << 8) |
      ((text.charCodeAt(at + 2) & 0xff) << 16) |
      ((text.charCodeAt(at + 3) & 0xff) << 24);
    hash ^= scramble(block);
    hash = (hash << 13) | (hash >>> 19);
    hash = (Math.imul(hash, 5) + 0xe6546b64) | 0;
  }
  let tail = 0;
  for (let at = length - 1; at >= blocksEnd; at -= 1) {
    tail = (tail << 8) | (text.charCodeAt(at) & 0xff);
  }
  if (length > blocksEnd) hash ^= scramble(tail);
  hash ^= length;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

function scramble(block: number): number {
  const mixed = Math.imul(block, 0xcc9e2d51);
  return Math.imul((mixed << 15) | (mixed >>> 17), 0x1b873593);
}

/** The bucket of a key, 1 to 100: `murmur3("<groupId>:<key>") % 100 + 1`, as Unleash's flexibleRollout. */
export function bucketOf(groupId: string, key: string): number {
  return (murmur3(`${groupId}:${key}`) % 100) + 1;
}

/** Is the key among the first `percentage` of its group? Cohorts nest: 10 % contains the 1 %. */
export function inCohort(groupId: string, key: string, percentage: number): boolean {
  return percentage > 0 && bucketOf(groupId, key) <= percentage;
}
