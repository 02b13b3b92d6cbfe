"""`cxr compare lint` as it is typed."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path

import pytest

from cxr.cli.main import main

EXAMPLE = Path(__file__).parents[2] / "docs" / "figures.toml"


@pytest.fixture
def lint(typed):
    """Run `cxr compare lint …`: (exit code, stdout, stderr)."""
    return partial(typed, "compare", "lint")


def test_consistent_figures_exit_with_0_and_tell_the_matrix(lint):
    code, out, err = lint(str(EXAMPLE))
    assert (code, err) == (0, "")
    assert "95.76 % is 497 of 519" in out
    assert "the only confusion matrix that fits: [[182,52],[9,381]]" in out


def test_impossible_figures_exit_with_5_and_say_which(lint, tmp_path):
    path = tmp_path / "figures.toml"
    path.write_text("[[share]]\nname = 'sensitivity'\nvalue = '93.2 %'\nof = 390\n")
    code, out, err = lint(str(path))
    assert code == 5
    assert "cannot be" in out
    assert err.startswith("check failed: ")
    assert "1 of 1 cannot be, first sensitivity: no count of 390 gives 93.2 %" in err


def test_json_is_one_document(lint):
    code, out, _ = lint(str(EXAMPLE), "--json")
    document = json.loads(out)
    assert code == 0
    assert (document["schema"], document["consistent"]) == ("cxr.compare.lint", True)
    assert document["findings"][2]["matrices"] == [[[182, 52], [9, 381]]]
    assert document["findings"][0]["counts"] == [497]


def test_a_file_that_is_not_there_is_a_usage_error(lint):
    code, out, err = lint("gone.toml")
    assert (code, out) == (2, "")
    assert "cannot read gone.toml" in err


def test_help_names_the_subcommand_and_has_an_example(lint, monkeypatch, capsys):
    code, out, _ = lint("--help")
    assert code == 0
    assert "Example: cxr compare lint docs/figures.toml" in " ".join(out.split())
    monkeypatch.setattr(sys, "argv", ["cxr", "compare", "--help"])
    with pytest.raises(SystemExit):
        main()
    assert "lint" in capsys.readouterr().out
