"""Labels in legal spellings: unique in any case, the same for the same labels, and a way back."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxr.errors import InputError
from cxr.manifests.labels import (
    LabelMapping,
    is_legal_label,
    legal_label,
    read_label_mapping,
    write_label_mapping,
)

LABELS = st.lists(st.text(st.sampled_from("aAéß_1- ٣日"), max_size=8) | st.text(max_size=200), max_size=8, unique=True)


@pytest.mark.parametrize(
    ("label", "spelled"),
    [
        ("viral pneumonia", "viral_pneumonia"),
        ("2nd look", "label_2nd_look"),
        ("Épanchement", "Epanchement"),
        ("日本", "label"),
        ("_x", "x"),
    ],
)
def test_a_legal_spelling_is_near_to_the_label(label: str, spelled: str) -> None:
    assert not is_legal_label(label)
    assert legal_label(label) == spelled


@given(LABELS, st.sampled_from([32, 128]), st.randoms())
def test_any_labels_get_legal_unique_spellings_whatever_their_order(
    labels: list[str], most: int, random: Random
) -> None:
    mapping = LabelMapping.legal(labels, most)
    spelled = list(mapping.spellings.values())
    assert set(mapping.spellings) == set(labels)
    assert all(is_legal_label(spelling, most) for spelling in spelled)
    assert len({spelling.casefold() for spelling in spelled}) == len(labels)
    assert all(mapping.original(mapping.spelling(label)) == label for label in labels)
    assert all(mapping.original(mapping.spelling(label).upper()) == label for label in labels)
    shuffled = list(labels)
    random.shuffle(shuffled)
    assert LabelMapping.legal(shuffled, most) == mapping


def test_a_legal_label_keeps_its_spelling_and_others_go_round_it() -> None:
    mapping = LabelMapping.legal(["a b", "a_b", "A_B", "a_b_2"])
    assert mapping.spellings == {"A_B": "A_B", "a b": "a_b_3", "a_b": "a_b_4", "a_b_2": "a_b_2"}
    assert mapping.changed == {"a b": "a_b_3", "a_b": "a_b_4"}


def test_long_labels_are_cut_and_stay_apart() -> None:
    mapping = LabelMapping.legal(["x" * 40, "x" * 50], 32)
    assert sorted(map(len, mapping.spellings.values())) == [32, 32]


def test_numbers_follow_the_sorted_labels() -> None:
    assert LabelMapping.numbered(["VIRAL", "NORMAL", "BACTERIAL"]).spellings == {
        "BACTERIAL": "0",
        "NORMAL": "1",
        "VIRAL": "2",
    }


def test_an_unknown_label_or_spelling_is_bad_input() -> None:
    mapping = LabelMapping.as_is(["A"])
    with pytest.raises(InputError, match="'B' is none of the labels A"):
        mapping.spelling("B")
    with pytest.raises(InputError, match="'b' stands for none"):
        mapping.original("b")


def test_a_mapping_reads_back_as_written(tmp_path: Path) -> None:
    mapping = LabelMapping.legal(["viral pneumonia", "日本", "NORMAL"])
    path = tmp_path / "labels.json"
    write_label_mapping(mapping, path)
    assert read_label_mapping(path) == mapping
    write_label_mapping(LabelMapping.as_is(["A"]), path)
    assert read_label_mapping(path).spellings == {"A": "A"}


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{",
        '["NORMAL", "PNEUMONIA"]',
        '{"schema": "cxr.labels", "spellings": {"a": 1}}',
        '{"schema": "cxr.labels", "schema_version": 1, "spellings": {"a": "X", "b": "x"}}',
    ],
)
def test_a_file_of_somebody_else_is_neither_read_nor_written_over(tmp_path: Path, text: str) -> None:
    path = tmp_path / "labels.json"
    path.write_text(text)
    with pytest.raises(InputError):
        read_label_mapping(path)
    with pytest.raises(InputError):
        write_label_mapping(LabelMapping.as_is(["A"]), path)
    assert path.read_text() == text
