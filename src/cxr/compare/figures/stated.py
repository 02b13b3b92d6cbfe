"""A figure as it was printed: the numbers that it may be a rounding of."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any

from cxr.errors import InputError

MAX_DECIMALS = 6


@dataclass(frozen=True, slots=True)
class Stated:
    """What was printed, and the closed interval of the shares (0..1) that round to it. Both ends belong to it: who
    rounds halves up and who rounds them to even are both believed."""

    text: str
    low: Fraction
    high: Fraction
    decimals: int
    is_percent: bool

    def counts(self, of: int) -> range:
        """The whole numbers k of 0..`of` for which k / `of` rounds to it."""
        first, last = max(0, math.ceil(self.low * of)), min(of, math.floor(self.high * of))
        return range(first, last + 1)

    def holds(self, share: Fraction) -> bool:
        """Whether a share rounds to it."""
        return self.low <= share <= self.high

    def printed(self, share: Fraction) -> str:
        """Another share, rounded alike (halves to even)."""
        value = share * 100 if self.is_percent else share
        text = f"{float(round(value, self.decimals)):.{self.decimals}f}"
        return f"{text} %" if self.is_percent else text


def stated(value: Any, where: str) -> Stated:
    """A share from TOML: 0.95 (its decimals as written), or "93.2 %". Raises InputError, naming `where`, for anything
    else."""
    text = str(value).strip()
    is_percent = text.endswith("%")
    try:
        if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
            raise InvalidOperation
        number = Decimal(text.removesuffix("%").strip())
    except InvalidOperation:
        raise InputError(f"{where}: {value!r} is no share", hint='write 0.95, or "95.2 %"') from None
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int) or -exponent > MAX_DECIMALS:
        raise InputError(f"{where}: {text} is no number of at most {MAX_DECIMALS} decimals")
    unit = Fraction(1, 100) if is_percent else Fraction(1)
    if not 0 <= Fraction(number) * unit <= 1:
        raise InputError(f"{where}: {text} is not between 0 and 1", hint=f'a percentage is written "{text} %"')
    decimals = max(0, -exponent)
    half = Fraction(1, 2 * 10**decimals)
    return Stated(text, (Fraction(number) - half) * unit, (Fraction(number) + half) * unit, decimals, is_percent)
