"""Documents that are made to break their reader. `tests/fuzz` looks for more of them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from cxr.documents import MAX_JSON_DEPTH, parse_json, parse_toml
from cxr.errors import CxrError, InputError
from cxr.manifests.manifest_file import read_manifest
from cxr.manifests.patients.table import read_patient_csv
from cxr.spreadsheets import spreadsheet_text

CORPUS = Path(__file__).parents[1] / "fuzz" / "corpus"


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "[" * 2_000 + "]" * 2_000])
@pytest.mark.parametrize("limit", [1_000, 5_000])
def test_json_without_an_end_is_an_error_like_any_other(text: str, limit: int) -> None:
    """Also after another package has raised Python's own limit, as coremltools does."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(limit)
    try:
        with pytest.raises(ValueError, match="nested too deeply"):
            parse_json(text)
    finally:
        sys.setrecursionlimit(before)


def test_brackets_side_by_side_and_within_texts_are_not_deep() -> None:
    value = [{"a": "[" * 300 + '\\"]'} for _ in range(500)]
    assert parse_json(json.dumps(value)) == value
    deep = "[" * MAX_JSON_DEPTH + "]" * MAX_JSON_DEPTH
    assert parse_json(deep)
    with pytest.raises(ValueError, match="nested too deeply"):
        parse_json(f"[{deep}]")


@pytest.mark.parametrize("end", ["", "\\"])
def test_a_text_without_an_end_takes_no_quadratic_time(end: str) -> None:
    """Half a million quotes, each of which could be the beginning of a text: hours, if each were tried."""
    with pytest.raises(ValueError, match="Unterminated"):
        parse_json("[" * 10 + '"' + '\\"' * 500_000 + "[" * 300 + end)


@pytest.mark.parametrize("text", ["a = " + "[" * 50_000, "a = " + "{b = " * 50_000, "a." * 50_000 + "b = 1\n[a]"])
def test_toml_without_an_end_is_an_error_like_any_other(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  (the words are those of the standard library)
        parse_toml(text)


@pytest.mark.parametrize("text", [r'"\ud800"', r'{"\udfff": 1}', rb'["a\ud83d"]'])
def test_half_a_character_is_no_text(text: str | bytes) -> None:
    with pytest.raises(ValueError, match="half of a surrogate pair"):
        parse_json(text)


@pytest.mark.parametrize(
    "text",
    [
        b'"\xed\xa0\x80"',
        '{"\ud800": 1}'.encode("utf-8", "surrogatepass"),
        '"\ud800"'.encode("utf-16", "surrogatepass"),
        '"\ud800"'.encode("utf-16-be", "surrogatepass"),
        '"\ud800"'.encode("utf-32", "surrogatepass"),
        r'"\ud800"'.encode("utf-16"),
        '"\ud800"',
    ],
    ids=repr,
)
def test_half_a_character_by_the_letter_is_no_text_either(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"surrogate|decode"):
        parse_json(text)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32"])
def test_bytes_are_read_in_any_encoding_of_unicode(encoding: str) -> None:
    assert parse_json('{"a": "🩻"}'.encode(encoding)) == {"a": "🩻"}


def test_whole_characters_are() -> None:
    assert parse_json(r'"\ud83e\ude7b"') == "🩻"
    assert parse_json(b'{"a": [1, 2.5, null]}') == {"a": [1, 2.5, None]}


@pytest.mark.parametrize("number", ["1" * 5_000, "-" + "9" * 10_000])
def test_a_number_of_thousands_of_digits_is_refused(number: str) -> None:
    with pytest.raises(ValueError, match="digit"):
        parse_json(number)
    with pytest.raises(ValueError, match="digit"):
        parse_toml(f"a = {number}")


def manifest_of(tmp_path: Path, rows: bytes) -> Path:
    (tmp_path / "manifest.csv").write_bytes(rows)
    (tmp_path / "manifest.json").write_bytes((CORPUS / "manifest-header" / "plain.json").read_bytes())
    return tmp_path / "manifest.csv"


def rows_with(old: bytes, new: bytes) -> bytes:
    rows = (CORPUS / "manifest-rows" / "plain.csv").read_bytes()
    assert old in rows
    return rows.replace(old, new, 1)


@pytest.mark.parametrize(
    "rows",
    [
        b"a," * 1_000_000 + b"\n",
        b"path,path\n1,2\n",
        b"\0" * 10_000,
        b"\xff\xfe\x00\x01",
        rows_with(b"test/NORMAL/IM-0000", b"../NORMAL/IM-0000"),
        rows_with(b"test/NORMAL/IM-0000", b"/etc/IM-0000"),
        rows_with(b"test/NORMAL/IM-0000", b"C:\\IM-0000"),
        rows_with(b"test/NORMAL/IM-0000", b"test/\x1b[2J/IM-0000"),
        rows_with(b"test/NORMAL/IM-0000", b"test/\0/IM-0000"),
        rows_with(b"test/NORMAL/IM-0000", b"test/\xff/IM-0000"),
        rows_with(b"test/NORMAL/IM-0000", b"test/\xed\xa0\x80/IM-0000"),
        rows_with(b"test/NORMAL/IM-0000", b'"' + b"x" * 200_000),
        rows_with(b"test/NORMAL/IM-0000", b"test/NORMAL/" + b"x" * 200_000),
    ],
    ids=["columns", "same-header", "nul", "utf-16", "parent", "absolute", "drive", "escape", "nul-in-a-name", "latin-1",
         "surrogate", "open-quote", "long-name"],
)  # fmt: skip
def test_a_hostile_manifest_is_refused(tmp_path: Path, rows: bytes) -> None:
    with pytest.raises(InputError):
        read_manifest(manifest_of(tmp_path, rows))


@pytest.mark.parametrize("data", [b"path,patient\n" + b'"' + b"x" * 200_000, b"path,path\na,b\n", b"\0,\0\n", b""])
def test_a_hostile_table_of_patients_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "p.csv").write_bytes(data)
    with pytest.raises(CxrError):
        read_patient_csv(str(tmp_path / "p.csv"))


@pytest.mark.parametrize("cell", ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_no_cell_from_a_service_begins_a_formula(cell: str) -> None:
    from cxr.cloud.predicting.service_evaluation import _csv

    assert spreadsheet_text(cell).startswith("'")
    assert _csv([[cell, 1]]).startswith(("'", "\"'"))
