import { MemoryJournal } from "../../src/migration/journal.ts";
import { MemoryLatchStore } from "../../src/migration/latch.ts";
import { journalContract } from "./journal.ts";
import { latchStoreContract } from "./latch-store.ts";

journalContract("in memory", () => new MemoryJournal());
latchStoreContract("in memory", () => new MemoryLatchStore());
