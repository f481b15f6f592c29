import type {
  Catalog,
  CatalogFile,
  Content,
  ContentRemoval,
  FileEntry,
} from "../catalog/catalog.ts";
import type { FilePage, FileRequest, ListRequest, StoredFile } from "../file-manager.ts";
import type { ContentKey } from "../storage/object-key.ts";

/**
 * The same tables, with every owner, purpose and storage key below a prefix: the rows are real, under
 * the same constraints, and neither a user nor another upload of the same bytes can find them.
 */
export class ScopedCatalog implements Catalog {
  readonly #inner: Catalog;
  readonly #prefix: string;

  constructor(inner: Catalog, prefix: string) {
    this.#inner = inner;
    this.#prefix = prefix;
  }

  async findContent(key: ContentKey, signal: AbortSignal): Promise<Content | null> {
    const { sha256, provider, purpose } = key;
    const inside = { sha256, provider, purpose: this.#in(purpose) };
    const found = await this.#inner.findContent(inside, signal);
    return found === null ? null : this.#contentOut(found);
  }

  async findContentById(id: string, signal: AbortSignal): Promise<Content | null> {
    const found = await this.#inner.findContentById(id, signal);
    return found === null ? null : this.#contentOut(found);
  }

  hasProviderFile(
    file: Parameters<Catalog["hasProviderFile"]>[0],
    signal: AbortSignal,
  ): Promise<boolean> {
    return this.#inner.hasProviderFile(file, signal);
  }

  /** Contents of every owner, inside the scope and outside: the port knows no part of them. */
  listContents(
    page: Parameters<Catalog["listContents"]>[0],
    signal: AbortSignal,
  ): ReturnType<Catalog["listContents"]> {
    return this.#inner.listContents(page, signal);
  }

  async findFileOf(
    of: Parameters<Catalog["findFileOf"]>[0],
    signal: AbortSignal,
  ): Promise<StoredFile | null> {
    const found = await this.#inner.findFileOf({ ...of, owner: this.#in(of.owner) }, signal);
    return found === null ? null : this.#fileOut(found);
  }

  async addContent(content: Content, signal: AbortSignal): Promise<Content> {
    const inside = {
      ...content,
      purpose: this.#in(content.purpose),
      storageKey: this.#in(content.storageKey),
    };
    return this.#contentOut(await this.#inner.addContent(inside, signal));
  }

  removeContent(id: string, signal: AbortSignal): Promise<ContentRemoval> {
    return this.#inner.removeContent(id, signal);
  }

  addFile(entry: FileEntry, signal: AbortSignal): Promise<boolean> {
    const inside = { ...entry, owner: this.#in(entry.owner), purpose: this.#in(entry.purpose) };
    return this.#inner.addFile(inside, signal);
  }

  async findFile(request: FileRequest, signal: AbortSignal): Promise<CatalogFile | null> {
    const found = await this.#inner.findFile(this.#requestIn(request), signal);
    if (found === null) return null;
    return { file: this.#fileOut(found.file), content: this.#contentOut(found.content) };
  }

  async list(request: ListRequest, signal: AbortSignal): Promise<FilePage> {
    const { purpose } = request;
    const inside = {
      ...request,
      owner: this.#in(request.owner),
      ...(purpose === undefined ? {} : { purpose: this.#in(purpose) }),
    };
    const page = await this.#inner.list(inside, signal);
    return { ...page, files: page.files.map((file) => this.#fileOut(file)) };
  }

  removeFile(request: FileRequest, signal: AbortSignal): Promise<boolean> {
    return this.#inner.removeFile(this.#requestIn(request), signal);
  }

  markAccessed(request: FileRequest, at: string, signal: AbortSignal): Promise<void> {
    return this.#inner.markAccessed(this.#requestIn(request), at, signal);
  }

  /** Does nothing: the connections belong to whoever opened them. */
  close(): Promise<void> {
    return Promise.resolve();
  }

  #requestIn({ owner, id }: FileRequest): FileRequest {
    return { owner: this.#in(owner), id };
  }

  #contentOut(content: Content): Content {
    const { purpose, storageKey } = content;
    return { ...content, purpose: this.#out(purpose), storageKey: this.#out(storageKey) };
  }

  #fileOut(file: StoredFile): StoredFile {
    return { ...file, owner: this.#out(file.owner), purpose: this.#out(file.purpose) };
  }

  #in(text: string): string {
    return `${this.#prefix}/${text}`;
  }

  #out(text: string): string {
    return text.startsWith(`${this.#prefix}/`) ? text.slice(this.#prefix.length + 1) : text;
  }
}
