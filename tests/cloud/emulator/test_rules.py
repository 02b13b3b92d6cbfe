"""The rules that are pure functions: ranges, listings, filters, import lines, splits."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxr.cloud.emulator.errors import RpcError, StorageError
from cxr.cloud.emulator.http import Body, Request
from cxr.cloud.emulator.state.blobs import BlobStore
from cxr.cloud.emulator.state.database import Database
from cxr.cloud.emulator.storage_api.buckets import valid_bucket_name
from cxr.cloud.emulator.storage_api.context import StorageContext
from cxr.cloud.emulator.storage_api.downloads import byte_range
from cxr.cloud.emulator.storage_api.listing import list_objects, successor
from cxr.cloud.emulator.storage_api.objects import commit_object
from cxr.cloud.emulator.storage_api.preconditions import Preconditions
from cxr.cloud.emulator.vertex_api.filtering import parse_filter
from cxr.cloud.emulator.vertex_api.import_files import ImportRow, RowError, read_rows, text_lines
from cxr.cloud.emulator.vertex_api.splits import TrainingItem, too_few

FIELDS = {"labels.*": "labels", "labels": "labels", "display_name": "displayName", "state": "state"}
FIELDS |= {"create_time": "createTime", "severity": "severity"}
NAMES = st.text(st.sampled_from("ab/é\U0010ffff肺"), min_size=1, max_size=6)


@given(size=st.integers(0, 300), first=st.integers(0, 400), last=st.integers(0, 400))
def test_a_range_is_the_slice_of_the_bytes_or_not_satisfiable(size: int, first: int, last: int) -> None:
    data = bytes(index % 251 for index in range(size))
    if last < first:
        assert byte_range(f"bytes={first}-{last}", size) is None
        return
    expected = data[first : last + 1]
    if not expected:
        with pytest.raises(StorageError) as outside:
            byte_range(f"bytes={first}-{last}", size)
        assert outside.value.status == 416
        return
    span = byte_range(f"bytes={first}-{last}", size)
    assert span is not None
    assert data[span[0] : span[0] + span[1]] == expected


@given(size=st.integers(1, 300), count=st.integers(1, 400))
def test_a_suffix_range_is_the_end_of_the_bytes(size: int, count: int) -> None:
    assert byte_range(f"bytes=-{count}", size) == (max(0, size - count), min(size, count))


@pytest.mark.parametrize("header", [None, "", "bytes=-", "lines=0-1", "bytes=0-1,5-6"])
def test_a_header_that_is_no_single_range_is_ignored(header: str | None) -> None:
    assert byte_range(header, 10) is None


@given(prefix=NAMES, rest=st.text(max_size=3))
def test_the_successor_is_above_all_names_with_the_prefix(prefix: str, rest: str) -> None:
    assert (prefix + rest).encode("utf-8", "replace") < successor(prefix).encode()


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StorageContext]:
    folder = tmp_path_factory.mktemp("storage")
    database = Database(folder / "state.db")
    yield StorageContext(database, BlobStore(folder / "blobs"), folder)
    database.close()


def _pages(storage: StorageContext, **query: str) -> tuple[list[str], list[str], int]:
    names: list[str] = []
    prefixes: list[str] = []
    pages, token = 0, ""
    while True:
        asked = {**query, **({"pageToken": token} if token else {})}
        request = Request("GET", "/storage/v1/b/x/o", asked, {}, Body(), "127.0.0.1")
        answer = list_objects(storage, request, "x")
        assert isinstance(answer.body, bytes)
        page: dict[str, Any] = json.loads(answer.body)
        pages += 1
        assert len(page.get("items", [])) + len(page.get("prefixes", [])) <= int(query["maxResults"])
        names += [item["name"] for item in page.get("items", [])]
        prefixes += page.get("prefixes", [])
        token = page.get("nextPageToken", "")
        if not token:
            return names, prefixes, pages


@settings(max_examples=60, deadline=None)
@given(
    names=st.sets(NAMES, max_size=12),
    prefix=st.sampled_from(["", "a", "a/", "é", "/"]),
    delimiter=st.sampled_from(["", "/", "b"]),
    size=st.integers(1, 5),
)
def test_pages_together_are_the_whole_listing(
    storage: StorageContext, names: set[str], prefix: str, delimiter: str, size: int
) -> None:
    with storage.database.write() as connection:
        connection.execute("DELETE FROM objects")
        connection.execute("INSERT OR REPLACE INTO buckets VALUES ('x','p','US',0,0,1,'{}')")
    for name in names:
        commit_object(storage, "x", name, storage.blobs.write([b"."]), {}, Preconditions())
    below = sorted((name for name in names if name.startswith(prefix)), key=str.encode)
    items = [name for name in below if not delimiter or delimiter not in name[len(prefix) :]]
    folders = [name for name in below if name not in items]
    cut = {prefix + name[len(prefix) :].split(delimiter)[0] + delimiter for name in folders}
    listed, prefixes, pages = _pages(storage, prefix=prefix, delimiter=delimiter, maxResults=str(size))
    assert listed == items
    assert prefixes == sorted(cut, key=str.encode)
    assert pages == max(1, -(-(len(items) + len(cut)) // size))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", True),
        ('labels.team="red"', True),
        ("labels.team=blue", False),
        ("labels.aiplatform.googleapis.com/ml_use=training", True),
        ('NOT display_name="other"', True),
        ('display_name!="x y"', False),
        ('display_name="x y" AND state="DONE"', True),
        ('display_name="z" OR state="DONE"', True),
        ('state="NO" AND display_name="x y" OR state="DONE"', False),
        ('(state="NO" AND display_name="x y") OR state="DONE"', True),
        ('labels.team="red" state=NO', False),
        ("labels:team", True),
        ("labels.none:*", False),
        ('display_name:"X"', True),
        ('create_time>="2026-11-19T11:23:57.369991+0000"', True),
        ('create_time<"2026-11-20T10:00:00.000001+01:00"', False),
        ("severity>=WARNING", True),
        ("severity<INFO", False),
    ],
)
def test_filters(text: str, expected: bool) -> None:
    labels = {"team": "red", "aiplatform.googleapis.com/ml_use": "training"}
    resource = {"displayName": "x y", "state": "DONE", "labels": labels}
    resource |= {"createTime": "2026-11-20T09:00:00.5Z", "severity": "ERROR"}
    assert parse_filter(text, FIELDS).matches(resource) is expected


@pytest.mark.parametrize("text", ["colour=red", "state=", "state", "(state=a", "state=a)", 'state="a', "= b", "AND"])
def test_filters_that_cannot_be_read(text: str) -> None:
    with pytest.raises(RpcError):
        parse_filter(text, FIELDS)


@given(st.text(max_size=30))
def test_any_text_is_a_filter_or_an_invalid_argument(text: str) -> None:
    with contextlib.suppress(RpcError):
        assert parse_filter(text, FIELDS).matches({"state": "DONE"}) in {True, False}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("gs://b/a.jpeg", ImportRow("gs://b/a.jpeg", "")),
        ("gs://b/a.jpeg,NORMAL", ImportRow("gs://b/a.jpeg", "NORMAL")),
        (
            'TRAINING,"gs://b/a, b.jpeg",A_1',
            ImportRow("gs://b/a, b.jpeg", "A_1", {"aiplatform.googleapis.com/ml_use": "training"}),
        ),
        (",gs://b/a.jpeg,NORMAL", ImportRow("gs://b/a.jpeg", "NORMAL")),
    ],
)
def test_csv_lines(line: str, expected: ImportRow) -> None:
    assert list(read_rows("f.csv", text_lines([f"\ufeff{line}\r\n\n".encode()]))) == [expected]


@pytest.mark.parametrize(
    "line",
    [
        "s3://b/a.jpeg,NORMAL",
        "GS://b/a.jpeg,NORMAL",
        "unassigned,gs://b/a.jpeg,NORMAL",
        "gs://b/a.jpeg,NORMAL,PNEUMONIA",
        "gs://b/a.jpeg,bacterial pneumonia",
        "gs://b/a.jpeg,2nd",
        '"gs://b/a.jpeg,NORMAL',
    ],
)
def test_csv_lines_that_the_service_would_refuse(line: str) -> None:
    (row,) = read_rows("f.csv", [line])
    assert isinstance(row, RowError)
    assert "f.csv, line 1" in str(row)


@given(st.text(max_size=60), st.sampled_from(["f.csv", "f.jsonl"]))
def test_any_text_gives_rows_or_errors(text: str, name: str) -> None:
    assert all(isinstance(row, ImportRow | RowError) for row in read_rows(name, text.splitlines()))


@pytest.mark.parametrize(
    ("name", "valid"),
    [("abc", True), ("my.bucket-1_x", True), ("a" * 63, True), ("a" * 64, False), ("a..b", False), ("1.2.3.4", False)],
)
def test_bucket_names(name: str, valid: bool) -> None:
    assert valid_bucket_name(name) is valid


def test_an_empty_set_is_too_few(tmp_path: Path) -> None:
    items = [TrainingItem(f"{n}", "AB"[n % 2], "training" if n < 20 else "validation") for n in range(24)]
    problem = too_few(items)
    assert problem is not None
    assert "test set is empty" in problem.message
