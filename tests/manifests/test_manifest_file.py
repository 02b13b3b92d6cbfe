"""The manifest on disk: what is written reads back the same, and a torn or edited file is refused by name and row."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from manifest_rows import manifest_of, row

from cxr.errors import InputError, UsageError
from cxr.manifests.manifest import COLUMNS, MAX_BLOCKS, Manifest, Problem, content_hash, new_manifest
from cxr.manifests.manifest_file import read_manifest, reseal, sidecar_of, write_manifest

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
    path.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("train", "test", r"does not match its hash in manifest.json: row 2 was edited \(from A/1.jpeg\)"),
        (",224,", ",wide,", "row 2: width is 'wide'"),
        (",224,", ",-1,", "row 2: width is -1"),
        ("A/1.jpeg,", "../1.jpeg,", "row 2: the path '../1.jpeg' leaves the manifest's root"),
        ("B/2.jpeg,", "/etc/passwd,", "row 3: the path '/etc/passwd' leaves"),
        ("B/2.jpeg,", "B/./2.jpeg,", "row 3: the path .* is not plain"),
        ("B/2.jpeg,", "C:/2.jpeg,", "row 3: the path 'C:/2.jpeg' leaves"),
        ("B/2.jpeg,", "A/1.jpeg,", "row 3: 'A/1.jpeg' is in the manifest twice"),
        ("B/2.jpeg,B,", "B/2.jpeg,,", "row 3: the label is empty"),
        ("train", "holdout", "row 2: 'holdout' is not a split"),
        ("AAAAAA==", "AAAA", "row 2: 'AAAA' is not a crc32c"),
        ("train,,", "train,zero,", "row 2: 'zero' is not a fold"),
        ("A/1.jpeg,A", "A/1.jpeg,A,A", "row 2: width"),
        ("patient", "person", "does not have the columns"),
    ],
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


def test_a_row_that_is_gone_is_counted(written: Path) -> None:
    written.write_text("".join(written.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(InputError, match="1 rows instead of 2"):
        read_manifest(written)


def test_of_many_rows_the_edited_ones_are_named_within_a_few(tmp_path: Path) -> None:
    manifest = manifest_of([row(f"{i:05d}.jpeg", "AB"[i % 2]) for i in range(3000)])
    path = tmp_path / "manifest.csv"
    write_manifest(manifest, path)
    assert len(manifest.header.row_checksums) <= 8 * MAX_BLOCKS
    _replace(path, "02000.jpeg,A", "02000.jpeg,B")
    with pytest.raises(InputError, match="one of the rows 2000 to 2002 was edited") as caught:
        read_manifest(path)
    assert "cxr data check --reseal" in str(caught.value.hint)


def test_other_line_ends_are_no_edit(written: Path) -> None:
    before = read_manifest(written)
    written.write_bytes(written.read_bytes().replace(b"\n", b"\r\n"))
    assert read_manifest(written).hash == before.hash


def test_an_edited_manifest_is_accepted_when_it_is_resealed(written: Path) -> None:
    before = read_manifest(written)
    _replace(written, "train", "test")
    after = reseal(written)
    assert after.hash != before.hash
    assert after.header.resealed
    assert after.header.counts == {"test": {"A": 1}, "train": {"B": 1}}
    assert read_manifest(written).header == after.header


def test_resealing_what_nobody_edited_changes_nothing(written: Path) -> None:
    before = read_manifest(written)
    assert reseal(written).header == before.header


def test_an_illegal_row_cannot_be_resealed(written: Path) -> None:
    _replace(written, "A/1.jpeg,", "../1.jpeg,")
    with pytest.raises(InputError, match="row 2"):
        reseal(written)


def test_a_manifest_of_another_schema_says_so(written: Path) -> None:
    _replace(sidecar_of(written), '"schema_version": 2', '"schema_version": 1')
    with pytest.raises(InputError, match="is of schema version 1; this cxr reads version 2"):
        read_manifest(written)


def test_the_hash_does_not_depend_on_the_root_and_depends_on_every_column(written: Path) -> None:
    manifest = read_manifest(written)
    elsewhere = new_manifest(manifest.frame, replace(manifest.header, root="gs://bucket/x"))
    assert elsewhere.hash == manifest.hash
    for column, dtype in COLUMNS.items():
        other = manifest.frame.copy()
        other.loc[0, column] = 7 if dtype == "int64" else {"split": "test", "fold": "9"}.get(column, "zz")
        assert content_hash(other) != manifest.hash, column


def test_a_program_killed_between_rows_and_header_leaves_a_manifest_that_can_be_read(
    written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = read_manifest(written)
    after = new_manifest(before.frame.assign(split="test"), before.header, written)

    def killed(self: Path, target: Path) -> Path:
        if target == sidecar_of(written):
            raise KeyboardInterrupt
        return original(self, target)

    original = Path.replace
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Path, "replace", killed)
        write_manifest(after, written)
    assert json.loads(sidecar_of(written).read_text())["content_hash"] == before.hash
    assert read_manifest(written).hash == after.hash
    assert reseal(written).header.resealed == ""
    assert write_manifest(before, written).hash == read_manifest(written).hash == before.hash


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"split_policy": {"name": "zzz"}}, "the split policy is 'zzz'"),
        ({"split_policy": {"name": "grouped", "validation": "x"}}, "validation is 'x'"),
        ({"counts": 5}, "counts is 5"),
        ({"counts": {"train": {"A": 99}}}, "counts are not those of the rows"),
        ({"images": True}, "images is True"),
        ({"rows_per_checksum": 0}, "less than 1"),
        ({"problems": [{"rule": "junk", "path": 5, "message": "m", "severity": "note"}]}, "not told in words"),
        ({"problems": [{"rule": "junk", "path": "p", "message": "m", "severity": "fatal"}]}, "severity is 'fatal'"),
        ({"problems": [5]}, "is not the header"),
        ({"schema_version": "2"}, "of schema version '2'"),
        ({"something": 1}, "is not the header"),
    ],
)
def test_an_edited_header_is_bad_input(written: Path, changes: dict[str, object], words: str) -> None:
    header = json.loads(sidecar_of(written).read_text())
    sidecar_of(written).write_text(json.dumps(header | changes))
    with pytest.raises(InputError, match=words) as caught:
        read_manifest(written)
    assert caught.value.hint


def test_names_that_no_manifest_has_are_refused(written: Path) -> None:
    manifest = read_manifest(written)
    for name in ("m.json", "m", "m.scan.csv", "m.v1"):
        with pytest.raises(UsageError, match="is no name for a manifest"):
            write_manifest(manifest, written.with_name(name))
    written.with_name("report.json").write_text('{"mine": 1}')
    with pytest.raises(UsageError, match="is not the header of a manifest"):
        write_manifest(manifest, written.with_name("report.csv"))
    assert written.with_name("report.json").read_text() == '{"mine": 1}'
