"""Names that come from files stay text in Markdown and spreadsheets, and no floor's name is a model's."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from types import SimpleNamespace

import pytest

from cxr.compare.comparison import _distinct_names
from cxr.compare.floors import BYTE_COUNT, FLOOR_NAMES, MAJORITY
from cxr.compare.results.document import results
from cxr.compare.results.markdown import code, plain_text
from cxr.compare.results.model_card import model_card
from cxr.compare.results.tables import csv_table, markdown_table
from cxr.spreadsheets import spreadsheet_text


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("![x](y)", r"\!\[x\](y)"),
        ("a|b", r"a\|b"),
        ("`rm`", r"\`rm\`"),
        ("<b>&lt;", "&lt;b&gt;&amp;lt;"),
        ("two\nlines", "two lines"),
        (r"a\|b", r"a\\\|b"),
        ("my_net **1**", r"my\_net \*\*1\*\*"),
    ],
)
def test_text_is_no_markup(text, written):
    assert plain_text(text) == written


@pytest.mark.parametrize(("text", "written"), [("a b", "`a b`"), ("a ``b", "``` a ``b ```"), ("a|<b>", "`a|<b>`")])
def test_code_is_closed_by_nothing_inside_it(text, written):
    assert code(text) == written


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_no_cell_begins_a_formula(start):
    assert spreadsheet_text(f"{start}1+1") == f"'{start}1+1"
    assert spreadsheet_text(f"a{start}1") == f"a{start}1"


def named(comparison, name: str):
    """The comparison with another name of its first model."""
    return replace(comparison, rows=(replace(comparison.rows[0], name=name), *comparison.rows[1:]))


def test_a_model_named_like_markup_or_a_formula_is_neither(comparison):
    name = '=HYPERLINK("http://x.invalid")![a](b)|<i>'
    made = named(comparison, name)
    first = next(csv.DictReader(io.StringIO(csv_table(made))))
    assert first["name"] == f"'{name}"
    table = markdown_table(made)
    assert "![a]" not in table
    assert "<i>" not in table
    assert "![a](b)" not in model_card(made.rows[0], made).split("---", 2)[2]


def test_a_floors_name_is_not_a_models(comparison, tmp_path):
    assert {row.name for row in comparison.floors} == FLOOR_NAMES
    bundles = [
        SimpleNamespace(folder=tmp_path / folder, info=SimpleNamespace(name=name))
        for folder, name in (("mine", MAJORITY), ("x", BYTE_COUNT), ("y", BYTE_COUNT), ("z", "net"))
    ]
    assert _distinct_names(bundles) == ["majority class (mine)", "byte count (x)", "byte count (y)", "net"]


def test_figures_of_a_model_are_never_a_floors(comparison):
    model, *others = comparison.against.models
    against = replace(comparison.against, models=(replace(model, name=MAJORITY), *others))
    mistakes = (replace(comparison.mistakes[0], name=MAJORITY), *comparison.mistakes[1:])
    made = replace(named(comparison, MAJORITY), against=against, mistakes=mistakes)
    first, *_, floor = [line for line in csv.DictReader(io.StringIO(csv_table(made))) if line["name"] == MAJORITY]
    assert (first["verdict"] != "", floor["verdict"]) == (True, "")
    shown = [row["surest_mistakes"] != [] for row in results(made)["rows"] if row["name"] == MAJORITY]
    assert shown == [True, False]
