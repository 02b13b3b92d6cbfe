"""What a terminal obeys does not reach it from a name: Out and the errors neutralise it, --json escapes it anyway."""

from __future__ import annotations

import json

import pytest

from cxr.cli.out import Out, plain_table, print_error, printable
from cxr.errors import InputError

#: Clears the screen, sets the title, turns the text's direction, hides, ends the line, is half a character.
EVIL = [
    "\x1b[2J",
    "\x1b]0;x\x07",
    "\x9b31m",
    "\u202e",
    "\u2066",
    "\u200b",
    "\r",
    "\b",
    "\u2028",
    "\ud800",
    "\U000e0041",
]


@pytest.mark.parametrize("evil", EVIL, ids=lambda text: f"U+{ord(text[0]):04X}")
def test_no_output_gives_a_terminal_what_it_obeys(evil: str, capsys: pytest.CaptureFixture[str]) -> None:
    name = f"a{evil}b"
    out = Out()
    out.say(name)
    out.warn(name)
    out.hint(name)
    out.text(name)
    out.table((name, "size"), [(name, 1)], title=name)
    print_error(InputError(name, hint=name))
    with out.progress(name) as advance:
        advance(1, 2, name)
    shown = capsys.readouterr()
    assert evil[0] not in shown.out + shown.err
    shown.out.encode("utf-8")


def test_what_people_write_is_left_alone() -> None:
    for text in ("Röntgen", "肺炎", "naïve – “quoted”", "tab\tand\nline", "é", "🩻"):
        assert printable(text) == text


def test_a_table_keeps_its_columns_for_odd_names() -> None:
    assert "\x1b" not in plain_table(["na\x1b[2Jme"], [["\x1b]0;x\x07"]])


def test_json_output_escapes_by_itself(capsys: pytest.CaptureFixture[str]) -> None:
    Out(json=True).result("test", {"name": "".join(EVIL)})
    shown = capsys.readouterr().out
    assert shown.isascii()
    assert json.loads(shown)["name"] == "".join(EVIL)
