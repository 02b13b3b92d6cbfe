"""The filter language of list requests (https://google.aip.dev/160), as far as Vertex AI and Cloud Logging use it.

    labels.team="radiology" AND NOT state="JOB_STATE_FAILED" AND (display_name="a" OR display_name="b")

`OR` binds tighter than `AND`, and two terms side by side are joined by `AND`. `:` asks for presence (`:*`), for a key
of a map (`labels:team`), or for a part of a text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cxr.cloud.emulator.errors import invalid_argument

_TOKEN = re.compile(
    r"""\s*(?:(?P<quoted>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?P<operator><=|>=|!=|=|<|>|:)|(?P<bracket>[()])"""
    r"""|(?P<word>[^\s()<>=!:"']+))"""
)
Predicate = Callable[[Mapping[str, Any]], bool]
MISSING = object()
SEVERITIES = ("DEFAULT", "DEBUG", "INFO", "NOTICE", "WARNING", "ERROR", "CRITICAL", "ALERT", "EMERGENCY")


@dataclass(frozen=True, slots=True)
class Comparison:
    """One `field operator value` of a filter."""

    field: str
    operator: str
    value: str


@dataclass(frozen=True, slots=True)
class Filter:
    """A parsed filter: `matches(resource)`, and the comparisons it is made of."""

    matches: Predicate
    comparisons: tuple[Comparison, ...]


def parse_filter(text: str, fields: Mapping[str, str]) -> Filter:
    """Parse a filter. `fields` maps each permitted field to its place in the resource's JSON (`labels.*` for maps).

    Raises 400 INVALID_ARGUMENT for bad syntax or a field that cannot be filtered by.
    """
    parser = _Parser(text, fields)
    predicate = parser.conjunction() if parser.tokens else _everything
    if parser.tokens:
        raise _bad(text, f"unexpected {parser.tokens[0][1]!r}")
    return Filter(predicate, tuple(parser.comparisons))


class _Parser:
    def __init__(self, text: str, fields: Mapping[str, str]) -> None:
        self.text = text
        self.fields = fields
        self.tokens = _tokens(text)
        self.comparisons: list[Comparison] = []

    def conjunction(self) -> Predicate:
        terms = [self.disjunction()]
        while self.tokens and self.tokens[0] != ("bracket", ")"):
            self._accept("word", "AND")
            terms.append(self.disjunction())
        return lambda resource: all(term(resource) for term in terms)

    def disjunction(self) -> Predicate:
        terms = [self.factor()]
        while self._accept("word", "OR"):
            terms.append(self.factor())
        return lambda resource: any(term(resource) for term in terms)

    def factor(self) -> Predicate:
        if self._accept("word", "NOT") or self._accept("word", "-"):
            inner = self.factor()
            return lambda resource: not inner(resource)
        if self._accept("bracket", "("):
            inside = self.conjunction()
            if not self._accept("bracket", ")"):
                raise _bad(self.text, "a bracket is not closed")
            return inside
        return self._comparison()

    def _comparison(self) -> Predicate:
        kind, field = self._next()
        operator_kind, operator = self._next()
        value_kind, value = self._next()
        if kind != "word" or operator_kind != "operator" or value_kind not in {"word", "quoted"}:
            raise _bad(self.text, "expected FIELD = VALUE")
        comparison = Comparison(field, operator, value)
        path = self._path(field)
        self.comparisons.append(comparison)
        return lambda resource: _compare(lookup(resource, path), operator, value)

    def _path(self, field: str) -> tuple[str, ...]:
        if field in self.fields:
            return tuple(self.fields[field].split("."))
        for pattern, place in self.fields.items():
            head = pattern.removesuffix("*")
            if head != pattern and field.startswith(head) and field != head:
                return (*place.split("."), field.removeprefix(head))
        raise _bad(self.text, f"{field!r} is not a field that can be filtered by")

    def _next(self) -> tuple[str, str]:
        if not self.tokens:
            raise _bad(self.text, "it ends too early")
        return self.tokens.pop(0)

    def _accept(self, kind: str, value: str) -> bool:
        if self.tokens and self.tokens[0] == (kind, value):
            self.tokens.pop(0)
            return True
        return False


def lookup(resource: Any, path: tuple[str, ...]) -> Any:
    """The value at a path of keys, or MISSING."""
    for key in path:
        if not isinstance(resource, Mapping) or key not in resource:
            return MISSING
        resource = resource[key]
    return resource


def _compare(actual: Any, operator: str, value: str) -> bool:
    if operator == ":":
        if value == "*":
            return actual is not MISSING
        if isinstance(actual, Mapping):
            return value in actual
        return actual is not MISSING and value.lower() in str(actual).lower()
    if operator == "!=":
        return actual is MISSING or str(actual) != value
    if actual is MISSING:
        return operator == "=" and value == ""
    if operator == "=":
        return str(actual) == value
    left, right = _sort_keys(str(actual), value)
    return bool({"<": left < right, ">": left > right, "<=": left <= right, ">=": left >= right}[operator])


def _sort_keys(actual: str, value: str) -> tuple[Any, Any]:
    """What two values are ordered by: severity, else time, else text."""
    if actual in SEVERITIES and value in SEVERITIES:
        return SEVERITIES.index(actual), SEVERITIES.index(value)
    try:
        return _time(actual), _time(value)
    except ValueError:
        return actual, value


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens: list[tuple[str, str]] = []
    position = 0
    while text[position:].strip():
        found = _TOKEN.match(text, position)
        if not found:
            raise _bad(text, f"cannot read it from {text[position:][:20]!r}")
        kind = str(found.lastgroup)
        value = found.group(kind)
        plain = re.sub(r"\\(.)", r"\1", value[1:-1]) if kind == "quoted" else value
        if kind == "quoted" and tokens and tokens[-1][0] == "word" and tokens[-1][1].endswith("."):
            # labels."ml.googleapis.com/trial_id": a key with dots in it, as Cloud Logging writes it.
            kind, plain = "word", tokens.pop()[1] + plain
        tokens.append((kind, plain))
        position = found.end()
    return tokens


def _everything(resource: Mapping[str, Any]) -> bool:
    del resource
    return True


def _bad(text: str, why: str) -> Exception:
    return invalid_argument(f"Invalid filter {text!r}: {why}.", field="filter")
