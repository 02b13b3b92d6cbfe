import assert from "node:assert/strict";
import test from "node:test";
import { toCsv } from "../src/core/csv.js";

test("quotes what needs it, ends lines as RFC 4180 has it and begins with the mark of UTF-8", () => {
  const csv = toCsv(["file", "probability"], [['a "b", c.png', 0.25], ["line\nbreak", null], ["plain", true]]);
  assert.equal(csv, '\ufefffile,probability\r\n"a ""b"", c.png",0.25\r\n"line\nbreak",\r\nplain,true\r\n');
});

test("a file's name is never run as a formula, and a negative number stays one", () => {
  assert.equal(toCsv(["x"], [["=1+1"], ["@sum"], [-1.5]]), "\ufeffx\r\n'=1+1\r\n'@sum\r\n-1.5\r\n");
});
