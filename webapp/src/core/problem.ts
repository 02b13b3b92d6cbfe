import { errors, type ErrorCode } from "../strings.js";

/** What went wrong with a file or a model: `code` for programs, `message` for people. */
export class Problem<Code extends ErrorCode = ErrorCode> extends Error {
  readonly code: Code;

  constructor(code: Code, ...words: Parameters<(typeof errors)[Code]>) {
    super((errors[code] as (...given: string[]) => string)(...words));
    this.name = "Problem";
    this.code = code;
  }
}
