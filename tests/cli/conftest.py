"""Commands as they are typed, in this process: the whole of `main`, exit codes and both streams."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from cxr.cli.main import main

Typed = Callable[..., tuple[int, str, str]]


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Typed:
    """Run `cxr ARGUMENTS`: (exit code, stdout, stderr)."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["cxr", *arguments])
        with pytest.raises(SystemExit) as left:
            main()
            sys.exit(0)
        captured = capsys.readouterr()
        return int(left.value.code or 0), captured.out, captured.err

    return run
