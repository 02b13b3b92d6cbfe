"""Tasks: other labels, the same rows under the same hash, and no class that was not told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from manifest_rows import manifest_of, row

from cxr.errors import InputError, UsageError
from cxr.manifests.manifest import Manifest
from cxr.manifests.tasks import Task, task_view


@pytest.fixture
def manifest() -> Manifest:
    """Kermany's labels, with an unused image."""
    return manifest_of(
        [
            row("1.jpeg", "NORMAL"),
            row("2.jpeg", "PNEUMONIA", etiology="bacterial"),
            row("3.jpeg", "PNEUMONIA", etiology="viral", split="test"),
            row("4.jpeg", "PNEUMONIA", etiology="viral", split=""),
        ]
    )


def test_three_classes_come_from_label_and_etiology(manifest: Manifest) -> None:
    view = task_view(manifest, "three-class")
    assert list(view.frame["label"]) == ["NORMAL", "BACTERIAL", "VIRAL", "VIRAL"]
    assert view.classes == ("BACTERIAL", "NORMAL", "VIRAL")
    assert view.header.counts == {
        "train": {"BACTERIAL": 1, "NORMAL": 1},
        "test": {"VIRAL": 1},
        "unused": {"VIRAL": 1},
    }


def test_binary_joins_the_etiologies_and_undoes_three_classes(manifest: Manifest) -> None:
    for given_manifest in (manifest, task_view(manifest, "three-class")):
        view = task_view(given_manifest, "binary")
        assert list(view.frame["label"]) == ["NORMAL", "PNEUMONIA", "PNEUMONIA", "PNEUMONIA"]
        assert view.header.counts == manifest.header.counts


@pytest.mark.parametrize("task", [*Task, None])
def test_a_view_has_the_same_rows_and_the_same_hash(manifest: Manifest, task: str | None) -> None:
    view = task_view(manifest, task)
    assert view.hash == manifest.hash
    assert view.location == manifest.location
    others = [column for column in manifest.frame.columns if column != "label"]
    assert view.frame[others].equals(manifest.frame[others])
    assert view.frame["label"].dtype == manifest.frame["label"].dtype
    assert list(manifest.frame["label"]) == ["NORMAL", "PNEUMONIA", "PNEUMONIA", "PNEUMONIA"]


def test_no_task_is_the_manifest_itself(manifest: Manifest) -> None:
    assert task_view(manifest, None) is manifest


def test_folders_in_lower_case_are_the_same_labels() -> None:
    view = task_view(manifest_of([row("1.png", "Normal"), row("2.png", "bacterial")]), "three-class")
    assert list(view.frame["label"]) == ["NORMAL", "BACTERIAL"]


@pytest.mark.parametrize(
    ("task", "rows", "words"),
    [
        (
            "three-class",
            [row(f"{i}.png", "PNEUMONIA") for i in range(5)],
            r"of 5 images labelled PNEUMONIA \(no etiology\); the first: 0.png, 1.png, 2.png$",
        ),
        ("binary", [row("1.png", "NORMAL"), row("2.png", "COVID")], r"of 1 image labelled COVID \(no etiology\)"),
        ("three-class", [row("1.png", "BACTERIAL", etiology="viral")], r"labelled BACTERIAL \(viral\)"),
        (
            "binary",
            [row("1.png", "TB"), row("2.png", "COVID", etiology="viral")],
            r"COVID \(viral\), TB \(no etiology\)",
        ),
    ],
)
def test_a_class_that_the_task_cannot_tell_is_bad_input(task: str, rows: list[dict[str, object]], words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        task_view(manifest_of(rows), task)
    assert "leave --task out" in str(caught.value.hint)


def test_an_unknown_task_names_the_choices(manifest: Manifest) -> None:
    with pytest.raises(UsageError, match="'ternary'") as caught:
        task_view(manifest, "ternary")
    assert caught.value.hint == "choose one of: binary, three-class"


@given(
    st.lists(
        st.tuples(st.sampled_from(["NORMAL", "PNEUMONIA", "VIRAL"]), st.sampled_from(["", "viral", "bacterial"])),
        min_size=1,
        max_size=12,
    )
)
def test_binary_of_three_classes_is_binary(pairs: list[tuple[str, str]]) -> None:
    manifest = manifest_of([row(f"{i:02}.png", label, etiology=kind) for i, (label, kind) in enumerate(pairs)])
    try:
        three = task_view(manifest, "three-class")
    except InputError:
        return
    assert list(task_view(three, "binary").frame["label"]) == list(task_view(manifest, "binary").frame["label"])
