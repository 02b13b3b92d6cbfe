"""Faults on request: what is to go wrong, on which requests, how often.

A rule names requests and what happens to them; a fault is what happens to one request. Rules come from
`PUT /_emulator/faults` (for clients that cannot be changed) and live in memory until the server ends. Instructions come
with a request in `x-goog-emulator-instructions`, as in Google's storage testbench
(https://github.com/googleapis/storage-testbench#force-failures).
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

ACTIONS = ("status", "reset", "stall", "corrupt", "latency", "trickle")
INSTRUCTIONS_HEADER = "x-goog-emulator-instructions"
#: Actions that need `seconds`.
_TIMED = {"stall", "latency", "trickle"}


class FaultError(ValueError):
    """A document or an instruction that cannot be understood; the message says where and why."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong with one request.

    `after_bytes`: of the request's body when it has one, otherwise of the answer's. `after`: the request is carried out
    first. `goes_on`: after a stall the request is answered as if nothing had been.
    """

    action: str
    status: int = 503
    retry_after: int | None = None
    after_bytes: int | None = None
    seconds: float = 0.0
    after: bool = False
    goes_on: bool = False


@dataclass(frozen=True, slots=True)
class Subject:
    """A request as rules see it. `object` is `BUCKET/NAME`, None when the request is about none (or none is known).

    `target` is the decoded path with its query; `body_bytes` the body's length, None when it is not announced;
    `moves_bytes` whether an object's bytes are uploaded or downloaded.
    """

    method: str
    target: str
    operation: str
    object: str | None
    body_bytes: int | None
    moves_bytes: bool


@dataclass(slots=True)
class Rule:
    """On which requests a fault happens, how often, and how often it has."""

    fault: Fault
    method: str | None = None
    path: re.Pattern[str] | None = None
    operation: str | None = None
    object: re.Pattern[str] | None = None
    times: int | None = None
    per: str = "server"
    probability: float = 1.0
    seed: int | None = None
    document: Mapping[str, Any] = field(default_factory=dict)
    fired: Counter[str] = field(default_factory=Counter)
    chance: random.Random = field(default_factory=random.Random)

    @property
    def needs_object(self) -> bool:
        """Whether the rule cannot be decided without the object's name."""
        return self.per == "object" or self.object is not None

    def applies(self, subject: Subject) -> bool:
        """Whether the fault happens to this request; if so, that is counted."""
        key = self._key(subject)
        if key is None or (self.times is not None and self.fired[key] >= self.times):
            return False
        if self.probability < 1 and self.chance.random() >= self.probability:
            return False
        self.fired[key] += 1
        return True

    def _key(self, subject: Subject) -> str | None:
        fault = self.fault
        if self.method is not None and self.method != subject.method:
            return None
        if self.operation is not None and self.operation != subject.operation:
            return None
        if self.path is not None and not self.path.search(subject.target):
            return None
        if self.object is not None and not (subject.object and self.object.search(subject.object)):
            return None
        if fault.action == "corrupt" and not subject.moves_bytes:
            return None
        if fault.after_bytes and subject.body_bytes and subject.body_bytes <= fault.after_bytes:
            return None  # the body ends before
        if self.per == "server":
            return ""
        return subject.object


class Faults:
    """The rules in force. Used from the event loop's thread only."""

    def __init__(self) -> None:
        self.latency_seconds = 0.0
        self.rules: list[Rule] = []
        self.needs_object = False

    def replace(self, document: object) -> None:
        """Put other rules in force, all counts at zero. Raises FaultError, and then nothing has changed."""
        fields = _checked(document, "the document", {"latency_ms", "rules"})
        latency_ms = _number(fields, "latency_ms", "the document") or 0.0
        raw = fields.get("rules", [])
        if not isinstance(raw, list):
            raise FaultError("rules: a list is needed")
        rules = [_rule(item, f"rules[{index}]") for index, item in enumerate(raw)]
        self.latency_seconds, self.rules = latency_ms / 1000, rules
        self.needs_object = any(rule.needs_object for rule in rules)

    def clear(self) -> None:
        """No faults, no latency."""
        self.replace({})

    def document(self) -> dict[str, Any]:
        """What is in force, each rule with how often it has fired."""
        rules = [{**rule.document, "fired": rule.fired.total()} for rule in self.rules]
        return {"latency_ms": round(self.latency_seconds * 1000, 6), "rules": rules}

    def choose(self, subject: Subject) -> tuple[float, Fault | None]:
        """Seconds of latency, and the first other fault that applies."""
        latency, chosen = 0.0, None
        for rule in self.rules:
            is_latency = rule.fault.action == "latency"
            if (chosen is None or is_latency) and rule.applies(subject):
                if is_latency:
                    latency += rule.fault.seconds
                else:
                    chosen = rule.fault
        return latency, chosen


def _rule(raw: object, where: str) -> Rule:
    known = {"method", "path", "operation", "object", "action", "status", "retry_after", "after_bytes", "seconds"}
    fields = _checked(raw, where, known | {"after", "times", "per", "probability", "seed"})
    action = fields.get("action")
    if action not in ACTIONS:
        raise FaultError(f"{where}.action: one of {', '.join(ACTIONS)} is needed, not {action!r}")
    seconds = _number(fields, "seconds", where)
    if seconds is None and action in _TIMED:
        raise FaultError(f"{where}.seconds: {action} needs it")
    per, probability = fields.get("per", "server"), _number(fields, "probability", where)
    if per not in ("server", "object"):
        raise FaultError(f"{where}.per: 'server' or 'object' is needed, not {per!r}")
    if probability is not None and probability > 1:
        raise FaultError(f"{where}.probability: a number from 0 to 1 is needed")
    after = fields.get("after", False)
    if not isinstance(after, bool):
        raise FaultError(f"{where}.after: true or false is needed")
    fault = Fault(
        action=str(action),
        status=_status(fields, where),
        retry_after=_whole(fields, "retry_after", where),
        after_bytes=_whole(fields, "after_bytes", where),
        seconds=seconds or 0.0,
        after=after,
    )
    if fault.after and fault.after_bytes is not None:
        raise FaultError(f"{where}: after and after_bytes exclude each other")
    if fault.after and fault.action not in {"status", "reset", "stall"}:
        raise FaultError(f"{where}.after: {fault.action} has none")
    seed = _whole(fields, "seed", where)
    return Rule(
        fault=fault,
        method=_text(fields, "method", where),
        path=_pattern(fields, "path", where),
        operation=_text(fields, "operation", where),
        object=_pattern(fields, "object", where),
        times=_whole(fields, "times", where),
        per=str(per),
        probability=1.0 if probability is None else probability,
        seed=seed,
        document=dict(fields),
        chance=random.Random(seed),
    )


def _checked(raw: object, where: str, known: set[str]) -> dict[str, Any]:
    if not isinstance(raw, dict):
        raise FaultError(f"{where}: a JSON object is needed")
    unknown = sorted(set(raw) - known)
    if unknown:
        raise FaultError(f"{where}: unknown field {unknown[0]!r}; known are {', '.join(sorted(known))}")
    return raw


def _number(fields: Mapping[str, Any], name: str, where: str) -> float | None:
    value = fields.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e300:
        raise FaultError(f"{where}.{name}: a number that is not negative is needed, not {value!r}")
    return float(value)


def _whole(fields: Mapping[str, Any], name: str, where: str) -> int | None:
    value = fields.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise FaultError(f"{where}.{name}: a whole number that is not negative is needed, not {value!r}")
    return value


def _status(fields: Mapping[str, Any], where: str) -> int:
    status = _whole(fields, "status", where)
    if status is None:
        return 503
    if not 400 <= status <= 599:
        raise FaultError(f"{where}.status: a number from 400 to 599 is needed, not {status}")
    return status


def _text(fields: Mapping[str, Any], name: str, where: str) -> str | None:
    value = fields.get(name)
    if value is not None and not isinstance(value, str):
        raise FaultError(f"{where}.{name}: a text is needed, not {value!r}")
    return value


def _pattern(fields: Mapping[str, Any], name: str, where: str) -> re.Pattern[str] | None:
    text = _text(fields, name, where)
    try:
        return None if text is None else re.compile(text)
    except re.error as error:
        raise FaultError(f"{where}.{name}: not a regular expression: {error}") from None


#: The testbench's instructions for HTTP. Those for gRPC (redirect-…) and retry tests are not here.
_INSTRUCTIONS: tuple[tuple[str, Callable[[re.Match[str]], Fault | None]], ...] = (
    (r"return-(\d{3})", lambda found: Fault("status", int(found[1]))),
    (r"return-(\d{3})-after-(\d+)K", lambda found: Fault("status", int(found[1]), after_bytes=_kib(found[2]))),
    (
        r"return-503-after-256K/retry-(\d+)",
        lambda found: Fault("status", 503, after_bytes=_kib("256")) if int(found[1]) < 3 else None,
    ),
    (r"return-reset-connection", lambda _: Fault("reset")),
    (r"return-broken-stream", lambda _: Fault("reset", after_bytes=_kib("1024"))),
    (r"return-broken-stream-after-(\d+)K", lambda found: Fault("reset", after_bytes=_kib(found[1]))),
    (r"return-broken-stream-final-chunk-after-(\d+)B", lambda found: Fault("reset", after_bytes=int(found[1]))),
    (r"return-corrupted-data", lambda _: Fault("corrupt")),
    (r"stall-always", lambda _: Fault("stall", seconds=10, goes_on=True)),
    (r"stall-at-256KiB", lambda _: Fault("stall", seconds=10, after_bytes=_kib("256"), goes_on=True)),
    (
        r"stall-for-(\d+)s-after-(\d+)K",
        lambda found: Fault("stall", seconds=int(found[1]), after_bytes=_kib(found[2]), goes_on=True),
    ),
)


def instructed(text: str) -> Fault | None:
    """The fault that one request asks for itself. Raises FaultError for an instruction that is not known."""
    for pattern, make in _INSTRUCTIONS:
        if found := re.fullmatch(pattern, text):
            fault = make(found)
            if fault is not None and fault.action == "status" and not 400 <= fault.status <= 599:
                break
            return fault
    raise FaultError(f"{INSTRUCTIONS_HEADER}: unknown instruction {text!r}")


def _kib(text: str) -> int:
    return int(text) * 1024
