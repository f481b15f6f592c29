/** The file system that this package migrates: its operations and both implementations. */
export type {
  Download,
  FileManager,
  FileSource,
  StoredFile,
  UploadRequest,
} from "./files/file-manager.ts";
export {
  type Answer,
  createFileService,
  type FileService,
  type MigratedFiles,
  type UploadInput,
} from "./files/file-service.ts";
