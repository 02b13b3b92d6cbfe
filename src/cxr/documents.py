"""JSON and TOML out of files that somebody else may have written: whatever is wrong with one is a ValueError.

The standard library's readers end in a RecursionError at a thousand open brackets, and give texts that no file and no
terminal can hold (half of a surrogate pair, `"\\ud800"`).
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable
from itertools import accumulate
from typing import Any, Final

#: Brackets open at once in a JSON text. A limit of its own: Python's (1,000 calls) is raised by some packages when
#: they are imported (coremltools: 5,000), and what one process reads, another must not refuse.
MAX_JSON_DEPTH: Final = 200

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
        if _json_depth(text) > MAX_JSON_DEPTH:
            raise RecursionError
        value = json.loads(text)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError("it holds half of a surrogate pair, which is no character") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return value


# A text without an end goes to the end of the document: else each of its quotes would be tried as a beginning.
_JSON_STRING: Final = re.compile(r'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)
_NOT_A_BRACKET: Final = re.compile(r"[^\[\]{}]+")
_STEPS: Final = {"[": 1, "{": 1, "]": -1, "}": -1}


def _json_depth(text: str) -> int:
    """How many brackets are open at once at most; 0 where there are too few of them to matter."""
    if text.count("[") + text.count("{") <= MAX_JSON_DEPTH:
        return 0
    brackets = _NOT_A_BRACKET.sub("", _JSON_STRING.sub("", text))
    return max(accumulate(_STEPS[bracket] for bracket in brackets), default=0)


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
