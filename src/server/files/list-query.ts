import * as v from "valibot";
import type { ListRequest } from "../../files/file-manager.ts";
import { shortText, valid, wholeNumber } from "../valid-input.ts";

const schema = v.object({
  limit: v.optional(wholeNumber(1, 100)),
  after: v.optional(shortText(1, 64)),
  order: v.optional(v.picklist(["asc", "desc"], "use asc or desc")),
  purpose: v.optional(shortText(1, 64)),
});

/** Reads the query of a list; 20 files a page unless `limit` (1 to 100) says otherwise. */
export function listRequest(query: unknown, owner: string): ListRequest {
  const { limit = 20, after, order, purpose } = valid(schema, query, "query");
  return {
    owner,
    limit,
    ...(after === undefined ? {} : { after }),
    ...(order === undefined ? {} : { order }),
    ...(purpose === undefined ? {} : { purpose }),
  };
}
