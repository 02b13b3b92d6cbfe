"""Datasets of very many images: what is counted, what is refused, what goes in parts, and what stays small."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cxr.cloud.connection import Connection, connect
from cxr.cloud.jobs.journal import Journal
from cxr.cloud.uploading import destination_of, missing_objects, plan_manifest_upload, send_manifest
from cxr.cloud.vertex.datasets import check_labels, ensure_dataset, expected_items
from cxr.errors import InputError
from cxr.manifests.import_files import FORMATS, ImportFormat
from cxr.manifests.manifest import Manifest
from cxr.manifests.sample import draw_sample
from cxr.manifests.scan.folder import scan
from cxr.manifests.scan.listing import scan_listing
from cxr.settings import Settings
from cxr.storage import ObjectInfo

ROOT = Path(__file__).resolve().parents[2]


class _Listing:
    url = "gs://bucket/images"

    def __init__(self, *objects: ObjectInfo) -> None:
        self._objects = objects

    def list(self, prefix: str = "", *, after: str = "") -> Iterator[ObjectInfo]:
        return iter(self._objects)


def _listed(*sums: tuple[str, str]) -> Manifest:
    """A manifest of a bucket's listing that told these md5 and crc32c."""
    return scan_listing(
        _Listing(
            *(
                ObjectInfo(f"train/{'AB'[number % 2]}/{number}.jpeg", 1_000, f"AAAAA{crc32c}==", md5=md5 * 16)
                for number, (md5, crc32c) in enumerate(sums)
            )
        )
    )


def test_images_of_equal_bytes_are_counted_once_also_where_only_a_listing_told_of_them() -> None:
    assert expected_items(_listed(("aa", "A"), ("bb", "B"), ("aa", "A"), ("cc", "C"))) == 3
    assert expected_items(_listed(("", "A"), ("", "B"), ("", "A"))) == 2


def test_more_images_than_a_dataset_takes_are_refused_before_anything_is_asked_of_the_service(
    monkeypatch: pytest.MonkeyPatch, local_cloud: Settings
) -> None:
    connection = connect(local_cloud)
    manifest = _listed(("aa", "A"), ("bb", "B"), ("cc", "C"), ("aa", "A"))
    monkeypatch.setattr("cxr.cloud.vertex.datasets.MAX_IMAGES", 3)
    check_labels(connection, manifest)
    monkeypatch.setattr("cxr.cloud.vertex.datasets.MAX_IMAGES", 2)
    with pytest.raises(InputError, match="3 images; a Vertex AI dataset takes 2") as raised:
        check_labels(connection, manifest)
    assert "cxr cloud train custom" in str(raised.value.hint)


@pytest.fixture(scope="module")
def uploaded(local_cloud: Settings, tmp_path_factory: pytest.TempPathFactory) -> tuple[Connection, Manifest]:
    folder = tmp_path_factory.mktemp("many")
    draw_sample(folder / "images", images=40, seed=11)
    connection, manifest = connect(replace(local_cloud, prefix="many")), scan(folder / "images")
    plan = plan_manifest_upload(destination_of(connection), manifest, folder / "plan.jsonl")
    send_manifest(plan).require_complete("sent")
    return connection, manifest


def test_a_large_import_goes_in_several_files(
    uploaded: tuple[Connection, Manifest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection, manifest = uploaded
    smaller: Any = replace(FORMATS[ImportFormat.JSONL], max_bytes=3_000)  # type: ignore[type-var]
    monkeypatch.setitem(FORMATS, ImportFormat.JSONL, smaller)  # type: ignore[misc]
    state = ensure_dataset(connection, Journal(tmp_path / "jobs.jsonl"), manifest, on_step=lambda text: None)
    assert (state.items, state.partial_failures) == (expected_items(manifest), ())
    files = list(connection.store("import").list())
    assert len(files) > 2
    assert max(info.size for info in files) <= 3_000


def test_what_is_missing_is_named_in_order_whatever_the_order_of_the_rows(
    uploaded: tuple[Connection, Manifest],
) -> None:
    connection, manifest = uploaded
    assert missing_objects(connection, manifest) == []
    gone = sorted(manifest.frame["path"])[3:6]
    store = connection.store("images")
    for path in gone:
        store.delete(path, if_version=store.stat(path).version)
    shuffled = Manifest(manifest.frame.sample(frac=1, random_state=1), manifest.header, manifest.location)
    assert missing_objects(connection, shuffled) == gone
    for path in gone:
        store.put_file(path, manifest.root / path)
    assert missing_objects(connection, shuffled) == []


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_a_hundred_thousand_objects_are_listed_planned_and_imported_in_little_memory(tmp_path: Path) -> None:
    result = tmp_path / "result.json"
    command = [sys.executable, str(ROOT / "benchmarks" / "million_objects.py"), "--objects", "100000"]
    done = subprocess.run([*command, "--json", str(result)], capture_output=True, text=True, timeout=1400, check=False)
    assert done.returncode == 0, done.stderr
    found = {(each["name"], each["measure"]): each for each in json.loads(result.read_text())["results"]}
    assert found["images in the dataset", "number"]["value"] == 100_000
    listing = found["listing of 100,000 objects", "peak memory beyond the imports"]
    assert listing["met"]
    assert listing["value"] < 20
    again = "`cxr cloud upload` again, nothing to do, 100,000 images"
    assert "; 1" in found[again, "time"]["note"]  # a listing of 100 pages and a few requests more
    for (name, measure), each in found.items():
        if measure in {"client's peak memory", "server's peak memory"}:
            assert each["value"] < 0.6, name
