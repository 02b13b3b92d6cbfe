"""`--preprocessing NAME=VALUE`: what the user says of a model's input, and what must be said."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cxr.bundle import Preprocessing
from cxr.errors import UsageError
from cxr.importing.nouns import Found, Input

_TRUTHS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_PARSERS: Mapping[str, Callable[[str], Any]] = {
    "height": int,
    "width": int,
    "channels": int,
    "aspect": str,
    "scale": float,
    "offset": float,
    "scale_inside_model": lambda text: _TRUTHS[text.lower()],
}
_SCALES = (
    "x * scale + offset: --preprocessing scale=0.00392157 --preprocessing offset=0; "
    "or --preprocessing scale_inside_model=true where the model takes whole numbers 0..255"
)


def parse_contract_options(options: Sequence[str]) -> dict[str, Any]:
    """`height=224` and the like as values. Raises UsageError for a name or a value that is not known."""
    values: dict[str, Any] = {}
    for option in options:
        name, equals, text = option.partition("=")
        try:
            values[name] = _PARSERS[name](text.strip())
        except KeyError:
            if name in _PARSERS:
                raise UsageError(f"--preprocessing {option}: true or false is needed") from None
            raise UsageError(
                f"--preprocessing {option!r} is not known", hint=f"NAME=VALUE with a name of: {', '.join(_PARSERS)}"
            ) from None
        except ValueError:
            raise UsageError(f"--preprocessing {option}: a number is needed") from None
        if not equals:
            raise UsageError(f"--preprocessing {option} has no value", hint=f"--preprocessing {name}=…")
    return values


def contract_of(found: Found, tensor: Input, given: Mapping[str, Any]) -> tuple[Preprocessing, tuple[str, ...]]:
    """The contract of a recognised model, and what of it is guessed.

    Raises UsageError, naming the flag, for what neither files nor user tell, and where the two disagree.
    """
    declared = {
        name: size
        for name, size in (("height", tensor.height), ("width", tensor.width), ("channels", tensor.channels))
        if size is not None
    }
    for name, size in declared.items():
        if given.get(name, size) != size:
            raise UsageError(f"the model's {name} is {size}, not {given[name]}", hint=f"leave {name} out")
    guesses = []
    values: dict[str, Any] = {}
    if found.contract is not None:
        known = ("aspect", "scale", "offset", "scale_inside_model", "height", "width", "channels")
        values = {name: getattr(found.contract, name) for name in known}
        told = {name: values[name] for name in ("aspect", "scale", "offset", "scale_inside_model")}
        guesses.append(f"preprocessing as {found.maker} does it: {words_of(told)}")
    elif tensor.eight_bit:
        values = {"scale": 1.0, "offset": 0.0, "scale_inside_model": True}
        guesses.append("an input in 8 bits takes the pixels as they are")
    values |= {**declared, **given}
    _check_known(found, values)
    if "aspect" not in values:
        values["aspect"] = "squash"
        guesses.append("aspect=squash: the whole image is resized to the input, whatever its aspect ratio")
    if values.get("scale_inside_model") and "scale" not in values:
        values |= {"scale": 1.0, "offset": 0.0}
    values.setdefault("scale_inside_model", False)
    try:
        return Preprocessing(**values), tuple(guesses)
    except (ValueError, TypeError) as error:
        raise UsageError(f"--preprocessing: {error}") from error


def words_of(values: Mapping[str, Any]) -> str:
    """Values in a line."""
    return ", ".join(
        f"{name}={value:.6g}" if isinstance(value, float) else f"{name}={value}" for name, value in values.items()
    )


def _check_known(found: Found, values: Mapping[str, Any]) -> None:
    for name in ("height", "width", "channels"):
        if name not in values:
            raise UsageError(
                f"{found.model} does not say its input's {name}", hint=f"--preprocessing {name}=… (a number)"
            )
    if "scale" not in values and not values.get("scale_inside_model"):
        raise UsageError(f"nothing in {found.model} says how its pixels are to be scaled", hint=_SCALES)
