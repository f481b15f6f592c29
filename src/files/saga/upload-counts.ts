/**
 * What became of the uploads of one path that were stored, since the start. Rehearsals are not counted,
 * and neither are uploads that failed.
 */
export class UploadCounts {
  /** Bytes that were sent and stored. */
  stored = 0;
  /** Bytes that were there already, of whatever owner: nothing was sent. */
  reused = 0;
  /** The owner's own file of the same bytes was given back instead of a second one. */
  returned = 0;
  /** Bytes that were not sent because they were there. */
  savedBytes = 0;

  /** An upload has ended well. */
  add(how: "stored" | "reused" | "returned", sizeBytes: number): void {
    this[how] += 1;
    if (how !== "stored") this.savedBytes += sizeBytes;
  }
}
