// The use of the generated declarations in a TypeScript client. `tsc` checks it; it is never executed. Each line after
// `@ts-expect-error` must be an error.
import { ConvexClient, ConvexHttpClient } from "convex/browser";
import type { DataModelFromSchemaDefinition, GenericDataModel, PaginationResult, SchemaDefinition } from "convex/server";
import { api, internal } from "./generated/api.js";
import type { DataModel, Doc, Id, TableNames } from "./generated/dataModel.js";

const http = new ConvexHttpClient("http://127.0.0.1:3210");
const live = new ConvexClient("http://127.0.0.1:3210");

export async function calls(): Promise<void> {
  const id: Id<"messages"> = await http.mutation(api.messages.send, { channel: "a", body: "b" });
  const messages: Doc<"messages">[] = await http.query(api.messages.list, { channel: "a" });
  const author: string | undefined = messages[0]?.author;
  const added: bigint = await http.mutation(api.counters.add, { name: "n", by: 1n });
  const value: bigint | null = await http.query(api.counters.get, { name: "n" });
  const paginationOpts = { numItems: 10, cursor: null };
  const page: PaginationResult<Doc<"messages">> = await http.query(api.messages.page, { channel: "a", paginationOpts });
  const anything = await http.action(api.echo.action.any, { value: [id, author, added, value, page] });
  const stop = live.onUpdate(api.messages.count, { channel: "a" }, (count: number) => console.log(count, anything));
  stop();

  // @ts-expect-error: `body` is missing
  await http.mutation(api.messages.send, { channel: "a" });
  // @ts-expect-error: a number is not a string
  await http.query(api.messages.list, { channel: 1 });
  // @ts-expect-error: a number is not a bigint
  await http.mutation(api.counters.add, { name: "n", by: 1 });
  // @ts-expect-error: there is no such argument
  await http.query(api.messages.list, { channel: "a", limit: 1 });
  // @ts-expect-error: there is no such function
  await http.query(api.messages.lost, {});
  // @ts-expect-error: a mutation is not a query
  await http.query(api.messages.send, { channel: "a", body: "b" });
  // @ts-expect-error: the result is not a string
  const wrong: string = await http.query(api.messages.count, { channel: "a" });
  // @ts-expect-error: an internal function is not public
  await http.query(internal.internal.secret.get, {});
  // @ts-expect-error: an id belongs to one table
  const other: Id<"counters"> = id;
  console.log(wrong, other);
}

const tables: TableNames[] = ["messages", "counters"];
// @ts-expect-error: there is no such table
const none: TableNames = "lost";
// The data model works with `convex/server`.
export type Model = DataModel extends GenericDataModel ? true : never;
export const model: Model = true;
export type Index = DataModel["messages"]["indexes"]["by_channel"];
export const index: Index = ["channel", "_creationTime"];
export type Any = DataModelFromSchemaDefinition<SchemaDefinition<Record<string, never>, true>>;
console.log(tables, none);
