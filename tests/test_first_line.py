"""What is told of an error that came from elsewhere."""

from __future__ import annotations

import pytest

from cxr.errors import first_line


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError("no such layer\n\nTraceback of the graph:"), "no such layer"),
        (ValueError("\n  no such layer  \n at 7"), "no such layer  "),
        (KeyError("dense"), "'dense'"),
        (RuntimeError(), "RuntimeError"),
        (RuntimeError(" \n"), "RuntimeError"),
    ],
)
def test_of_anothers_error_the_first_line_is_told_or_its_kind(error: Exception, words: str) -> None:
    assert first_line(error) == words
