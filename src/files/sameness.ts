/**
 * What a comparison of the two paths leaves out, for each operation: what may differ between two right
 * answers to the same call. Dotted paths; `*` stands for any one part.
 */
export const ignoredDifferences: {
  readonly upload: readonly string[];
  readonly download: readonly string[];
  readonly info: readonly string[];
  readonly list: readonly string[];
  readonly delete: readonly string[];
} = {
  // Two uploads of one file are two files, with ids and times of their own.
  upload: ["id", "createdAt", "accessedAt", "providerFileId"],
  // Bodies are compared by their digest; a download stamps the time of access behind its answer.
  download: ["body", "file.accessedAt"],
  info: ["accessedAt"],
  list: ["files.*.accessedAt"],
  delete: [],
};
