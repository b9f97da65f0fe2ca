/** JSON as a type: what parsers return and what --json prints. */
export type JsonValue = string | number | boolean | null | readonly JsonValue[] | JsonObject
export type JsonObject = {readonly [key: string]: JsonValue}
