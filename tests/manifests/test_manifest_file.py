"""The manifest on disk: what is written reads back the same, and a torn or edited file is refused by name and row."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from manifest_rows import manifest_of, row

from cxr.errors import InputError
from cxr.manifests.manifest import Manifest, Problem, read_manifest, sidecar_of, write_manifest

#: Printable text, as the scan lets it through: commas, quotes and any script, but no control characters.
WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=12)


@given(st.lists(st.tuples(WORDS, WORDS, WORDS), min_size=1, max_size=8, unique_by=lambda parts: parts[0]))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_round_trip(tmp_path: Path, parts: list[tuple[str, str, str]]) -> None:
    rows = [
        row(f"a/{name.replace('/', '_')}x{i}.jpeg", label, patient=key) for i, (name, label, key) in enumerate(parts)
    ]
    manifest = manifest_of(rows, problems=(Problem("junk", "a", "b", "warning"),))
    written = write_manifest(manifest, tmp_path / "manifest.csv")
    again = read_manifest(tmp_path / "manifest.csv")
    assert again.hash == manifest.hash == written.hash
    assert again.frame.equals(manifest.frame)
    assert again.header == written.header


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A manifest of two rows on disk."""
    manifest = manifest_of([row("A/1.jpeg", "A"), row("B/2.jpeg", "B")])
    return write_manifest(manifest, tmp_path / "manifest.csv").location or Path()


def _replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("train", "test", "does not match its hash"),
        (",224,", ",wide,", "row 2: width is 'wide'"),
        ("A/1.jpeg", "../1.jpeg", "leaves the manifest's root"),
        ("B/2.jpeg", "A/1.jpeg", "twice"),
        ("train", "holdout", "is not a split"),
        ("patient", "person", "does not have the columns"),
    ],
    ids=["edited", "not-a-number", "escaping-path", "repeated-path", "unknown-split", "other-columns"],
)
def test_an_edited_manifest_is_refused(written: Path, old: str, new: str, message: str) -> None:
    _replace(written, old, new)
    with pytest.raises(InputError, match=message):
        read_manifest(written)


def test_a_missing_manifest_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read_manifest(tmp_path / "manifest.csv")
    assert "cxr data scan" in str(caught.value.hint)


@given(st.binary(max_size=400))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_in_place_of_a_manifest_are_bad_input(written: Path, data: bytes) -> None:
    original = written.read_bytes()
    for path in (written, sidecar_of(written)):
        kept = path.read_bytes()
        path.write_bytes(data)
        with pytest.raises(InputError):
            read_manifest(written)
        path.write_bytes(kept)
    assert written.read_bytes() == original


def test_a_copied_folder_with_its_manifest_still_finds_its_images(tmp_path: Path) -> None:
    manifest = Manifest(
        manifest_of([row("A/1.jpeg", "A")]).frame, manifest_of([row("A/1.jpeg", "A")]).header, tmp_path / "a" / "x.csv"
    )
    write_manifest(manifest, tmp_path / "a" / "manifest.csv")
    (tmp_path / "a").rename(tmp_path / "b")
    assert read_manifest(tmp_path / "b" / "manifest.csv").root == tmp_path / "b" / "images"


def test_a_manifest_written_through_a_linked_folder_finds_its_images(tmp_path: Path) -> None:
    (tmp_path / "deep" / "a" / "b").mkdir(parents=True)
    (tmp_path / "images").mkdir()
    (tmp_path / "linked").symlink_to(tmp_path / "deep" / "a" / "b")
    manifest = manifest_of([row("A/1.jpeg", "A"), row("B/2.jpeg", "B")])
    manifest = replace(manifest, header=replace(manifest.header, root=str(tmp_path / "images")))
    written = write_manifest(manifest, tmp_path / "linked" / "m.csv")
    assert written.root.samefile(tmp_path / "images")
    assert read_manifest(tmp_path / "linked" / "m.csv").root.samefile(tmp_path / "images")
