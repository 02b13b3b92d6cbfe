"""JSON and TOML out of files that somebody else may have written: whatever is wrong with one is a ValueError.

The standard library's readers end in a RecursionError at a thousand open brackets, and give texts that no file and no
terminal can hold (half of a surrogate pair, `"\\ud800"`).
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from typing import Any, Final

#: Characters of a TOML file, and dots in one of its lines.
MAX_TOML: Final = 1 << 20
MAX_DOTS: Final = 200


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text (bytes: UTF-8, UTF-16 or UTF-32).

    Raises ValueError for anything else, for what is nested too deeply and for texts that are no Unicode.
    """
    try:
        if isinstance(text, bytes):
            # json.loads would decode them with "surrogatepass", which lets half characters through.
            text = text.decode(json.detect_encoding(text))
        else:
            text.encode()
        value = json.loads(text)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError("it holds half of a surrogate pair, which is no character") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return value


def parse_toml(text: str, *, parse_float: Callable[[str], Any] = float) -> dict[str, Any]:
    """The table of a TOML text. Raises tomllib.TOMLDecodeError (a ValueError) for anything else, and for what nobody
    writes by hand: keys of hundreds of parts, which take the reader minutes."""
    if len(text) > MAX_TOML or any(line.count(".") > MAX_DOTS for line in text.splitlines()):
        raise tomllib.TOMLDecodeError(f"it has more than {MAX_TOML:,} characters, or a line of {MAX_DOTS} dots")
    try:
        return tomllib.loads(text, parse_float=parse_float)
    except RecursionError:
        raise tomllib.TOMLDecodeError("it is nested too deeply") from None
    except tomllib.TOMLDecodeError:
        raise
    except (ValueError, ArithmeticError) as error:  # a number of too many digits, or one that parse_float refuses
        raise tomllib.TOMLDecodeError(str(error)) from None
