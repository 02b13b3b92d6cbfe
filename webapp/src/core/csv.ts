/** A table as CSV: RFC 4180, UTF-8 with a mark that spreadsheets look for. */

export type Cell = string | number | boolean | null;

/** Lines end in CRLF. Text that a spreadsheet would run as a formula is quoted by an apostrophe: file names are others'. */
export function toCsv(header: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const lines = [header, ...rows].map((row) => row.map(cell).join(","));
  return `\ufeff${lines.join("\r\n")}\r\n`;
}

function cell(value: Cell): string {
  if (value === null) return "";
  if (typeof value !== "string") return String(value);
  const harmless = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
}
