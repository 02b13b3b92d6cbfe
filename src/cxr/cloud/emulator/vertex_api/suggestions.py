"""The parameters of each trial. They depend on the study and the trial's number only: a restart changes none of them.

The service's default algorithm is Bayesian and looks at the trials before; here it is a quasi-random sequence (Halton,
shifted by a number made of the study), which looks at none.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from cxr.cloud.emulator.vertex_api.study import Parameter, Study, Value, every

#: One number from 0 to 1 (exclusive) for a parameter.
Draw = Callable[[str], float]


def suggestion(study: Study, spec: Mapping[str, Any], number: int) -> list[tuple[str, Value]] | None:
    """The parameters of trial `number` (from 1 on); None when a grid has no more points."""
    if study.algorithm == "GRID_SEARCH":
        return next(islice(_grid(study.parameters), number - 1, None), None)
    seed = hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()
    if study.algorithm == "RANDOM_SEARCH":
        return list(_drawn(study.parameters, lambda name: random.Random(f"{seed}/{number}/{name}").random()))
    names = sorted({parameter.id for parameter in every(study.parameters)})
    bases = dict(zip(names, _primes(len(names)), strict=True))

    def draw(name: str) -> float:
        shift = random.Random(f"{seed}/{name}").random()
        return (_radical_inverse(number, bases[name]) + shift) % 1.0

    return list(_drawn(study.parameters, draw))


def as_argument(name: str, value: Value) -> str:
    """`--name=value`; whole numbers without a point, so that a program can read them as such."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        value = int(value)
    return f"--{name}={value}"


def _drawn(parameters: Sequence[Parameter], draw: Draw) -> Iterator[tuple[str, Value]]:
    for parameter in parameters:
        value = _at(parameter, draw(parameter.id))
        yield parameter.id, value
        yield from _drawn([child for values, child in parameter.children if value in values], draw)


def _at(parameter: Parameter, place: float) -> Value:
    """The value at a place from 0 to 1 of the parameter's scale."""
    values = parameter.values
    if parameter.kind in {"categoricalValueSpec", "discreteValueSpec"}:
        return values[min(int(place * len(values)), len(values) - 1)]
    least, most = float(values[0]), float(values[1])
    if parameter.kind == "integerValueSpec":
        # Each whole number has an interval of the same width (on a linear scale).
        inside = _scaled(least, most + 1, place, parameter.scale)
        return int(min(max(math.floor(inside), least), most))
    return min(max(_scaled(least, most, place, parameter.scale), least), most)


def _scaled(least: float, most: float, place: float, scale: str) -> float:
    ratio = math.log(most / least) if scale.endswith("LOG_SCALE") else 0.0
    if scale == "UNIT_LOG_SCALE":
        return least * math.exp(ratio * place)
    if scale == "UNIT_REVERSE_LOG_SCALE":
        return least + most - least * math.exp(ratio * (1.0 - place))
    return least + (most - least) * place


def _grid(parameters: Sequence[Parameter]) -> Iterator[list[tuple[str, Value]]]:
    if not parameters:
        yield []
        return
    first, *rest = parameters
    values: Sequence[Value] = first.values
    if first.kind == "integerValueSpec":
        values = range(int(first.values[0]), int(first.values[1]) + 1)
    for value in values:
        active = [child for wanted, child in first.children if value in wanted]
        for others in _grid([*active, *rest]):
            yield [(first.id, value), *others]


def _radical_inverse(number: int, base: int) -> float:
    result, part = 0.0, 1.0
    while number:
        part /= base
        result += part * (number % base)
        number //= base
    return result


def _primes(count: int) -> list[int]:
    found: list[int] = []
    candidate = 2
    while len(found) < count:
        if all(candidate % prime for prime in found):
            found.append(candidate)
        candidate += 1
    return found
