"""Vertex AI import files: the documented formats, the manifest's splits, and nothing that the service would refuse."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from manifest_rows import manifest_of, row

from cxr.cloud.emulator.vertex_api.import_files import ImportRow as EmulatorRow
from cxr.cloud.emulator.vertex_api.import_files import read_rows, text_lines
from cxr.errors import InputError, UsageError
from cxr.manifests.import_files import (
    FORMATS,
    ImportFormat,
    ImportRow,
    plan_import,
    read_import_rows,
    write_import_files,
)
from cxr.manifests.manifest import Manifest

URL = "gs://bucket/cxr/images"
VERTEX = (ImportFormat.CSV, ImportFormat.JSONL)


@pytest.fixture
def manifest() -> Manifest:
    """One image of each split and one of none."""
    splits = ("train", "validation", "test", "")
    return manifest_of([row(f"{i}/a,{split}.jpeg", "AB"[i % 2], split=split) for i, split in enumerate(splits)])


def import_rows(manifest: Manifest, url: str, format: ImportFormat = ImportFormat.CSV) -> list[ImportRow]:
    return list(plan_import(manifest, url, format).rows())


def import_text(manifest: Manifest, url: str, format: ImportFormat = ImportFormat.CSV) -> str:
    return "".join(plan_import(manifest, url, format).lines())


def test_csv_rows_are_ml_use_uri_label(manifest: Manifest) -> None:
    assert import_text(manifest, URL) == (
        'training,"gs://bucket/cxr/images/0/a,train.jpeg",A\n'
        'validation,"gs://bucket/cxr/images/1/a,validation.jpeg",B\n'
        'test,"gs://bucket/cxr/images/2/a,test.jpeg",A\n'
    )


def test_jsonl_lines_have_the_documented_keys(manifest: Manifest) -> None:
    lines = [json.loads(line) for line in import_text(manifest, f"{URL}/", ImportFormat.JSONL).splitlines()]
    assert lines[1] == {
        "imageGcsUri": "gs://bucket/cxr/images/1/a,validation.jpeg",
        "classificationAnnotation": {"displayName": "B"},
        "dataItemResourceLabels": {"aiplatform.googleapis.com/ml_use": "validation"},
    }
    assert len(lines) == 3


@pytest.mark.parametrize("format", VERTEX)
def test_the_written_file_is_the_text_and_reads_back(tmp_path: Path, manifest: Manifest, format: ImportFormat) -> None:
    path = tmp_path / "sub" / f"import.{format}"
    plan = plan_import(manifest, URL, format)
    written = write_import_files(plan, path)
    assert path.read_text(encoding="utf-8") == import_text(manifest, URL, format)
    assert list(read_import_rows(path, plan)) == import_rows(manifest, URL, format)
    assert list(path.parent.iterdir()) == [path]
    assert [(file.path, file.rows, file.size) for file in written.files] == [(path, 3, path.stat().st_size)]
    assert written.labels_file is None


PATHS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Zl", "Zp")), min_size=1, max_size=20).filter(
    lambda text: "/" not in text and text not in {".", ".."} and text[1:2] != ":"
)


@given(st.lists(PATHS, min_size=1, max_size=6, unique=True), st.sampled_from(VERTEX))
@settings(max_examples=60, deadline=None)
def test_any_path_reads_back_here_and_on_the_server(paths: list[str], format: ImportFormat) -> None:
    manifest = manifest_of([row(f"{path}.png", "A") for path in paths])
    plan = plan_import(manifest, URL, format)
    rows = import_rows(manifest, URL, format)
    text = import_text(manifest, URL, format)
    read = list(FORMATS[format].read(text.splitlines(keepends=True), "", plan.context))
    assert read == rows
    # As the server reads it: in pieces, wherever they are cut.
    data = text.encode()
    lines = text_lines(data[at : at + 7] for at in range(0, len(data), 7))
    served = [found for found in read_rows(f"x.{format}", lines) if isinstance(found, EmulatorRow)]
    assert [(found.uri, found.label) for found in served] == [(wanted.uri, wanted.label) for wanted in rows]


@given(st.text(max_size=80), st.sampled_from(ImportFormat))
def test_any_text_is_rows_or_bad_input(text: str, format: ImportFormat) -> None:
    scheme = FORMATS[format].scheme
    plan = plan_import(manifest_of([row("1.png", "A"), row("2.png", "B")]), f"{scheme}b/images", format)
    with contextlib.suppress(InputError):
        assert all(found.uri for found in FORMATS[format].read(text.splitlines(keepends=True), "train", plan.context))


def test_a_label_that_vertex_refuses_is_named_with_a_legal_spelling() -> None:
    manifest = manifest_of([row("1.jpeg", "NORMAL"), row("2.jpeg", "viral pneumonia")])
    with pytest.raises(InputError, match="'viral pneumonia'") as caught:
        import_text(manifest, URL)
    assert "viral_pneumonia" in str(caught.value.hint)


@pytest.mark.parametrize("url", ["images", "s3://b/images", "gs://", "gs:///images", "/data"])
def test_another_kind_of_url_is_a_usage_error(manifest: Manifest, url: str) -> None:
    with pytest.raises(UsageError, match="is not where Vertex AI reads"):
        import_rows(manifest, url)


def test_a_manifest_without_splits_is_bad_input() -> None:
    with pytest.raises(InputError, match="no image of the manifest is in a split"):
        import_rows(manifest_of([row("1.jpeg", "A", split="")]), URL)
