"""The emulator's readers: what arrives on its socket. Only its own errors, which are answers, may come out."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fuzz_targets import Feed, Target

from cxr.cloud.emulator.errors import ApiError
from cxr.cloud.emulator.faults import FaultError
from cxr.cloud.emulator.http import Body, Request
from cxr.cloud.emulator.jobs.outcome_rules import OutcomeError
from cxr.cloud.emulator.vertex_api.import_files import RowError

#: Kept so that it is removed at the end of the program.
_FOLDERS: list[TemporaryDirectory[str]] = []


@cache
def _storage() -> Any:
    """Cloud Storage with a bucket `bucket` that has the object `a/b` of 9 bytes."""
    from cxr.cloud.emulator.state.blobs import BlobStore
    from cxr.cloud.emulator.state.database import Database
    from cxr.cloud.emulator.storage_api.context import StorageContext
    from cxr.cloud.emulator.storage_api.routes import handle_storage

    folder = TemporaryDirectory(prefix="cxr-fuzz-")
    _FOLDERS.append(folder)
    place = Path(folder.name)
    for name in ("blobs", "uploads"):
        (place / name).mkdir()
    context = StorageContext(Database(place / "state.db"), BlobStore(place / "blobs"), place / "uploads")
    for path, query, body in (
        ("/storage/v1/b", {"project": "p"}, b'{"name": "bucket"}'),
        ("/upload/storage/v1/b/bucket/o", {"uploadType": "media", "name": "a/b"}, b"some data"),
    ):
        handle_storage(context, _request("POST", path, query, {}, body))
    return context


def _request(method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], body: bytes) -> Request:
    return Request(method, path, dict(query), dict(headers), Body(body, size=len(body)), "127.0.0.1:1")


def _text(data: bytes) -> str:
    return data.decode("latin-1")


def _answer(request: Request) -> None:
    from cxr.cloud.emulator.storage_api.routes import handle_storage, named_object

    context = _storage()
    named_object(context, request, request.body.read(0, 1000))
    response = handle_storage(context, request)
    assert response.status < 500


def _head(data: bytes, place: Path) -> None:
    from cxr.cloud.emulator.control import refused_client
    from cxr.cloud.emulator.http import parse_query, path_segments
    from cxr.cloud.emulator.incoming import IncomingBody
    from cxr.cloud.emulator.operation_names import operation_name
    from cxr.cloud.emulator.parsing import Parser

    first, _, rest = data.partition(b"\r\n\r\n")
    parser = Parser()
    head = parser.head(first + b"\r\n\r\n")
    if head is None:
        return
    refused_client(head.headers)
    length = head.body_length
    try:
        parse_query(head.query)
        segments = path_segments(head.path)
    except ValueError:
        return
    operation_name(head.method, segments)
    body = IncomingBody(length, place)
    if length is None:
        parser.feed(rest, body)
    else:
        body.append(rest)
    body.finish()
    body.drop()


def _multipart(data: bytes, place: Path) -> None:
    del place
    kind, _, body = data.partition(b"\n")
    query = {"uploadType": "multipart"}
    _answer(_request("POST", "/upload/storage/v1/b/bucket/o", query, {"content-type": _text(kind)}, body))


def _resumable(data: bytes, place: Path) -> None:
    """The bytes are a Content-Range, the first eight of them what is sent under it."""
    del place
    from cxr.cloud.emulator.storage_api.routes import handle_storage

    path, kind = "/upload/storage/v1/b/bucket/o", {"uploadType": "resumable", "name": "r"}
    begun = handle_storage(_storage(), _request("POST", path, kind, {}, b""))
    session = {"upload_id": begun.headers["X-GUploader-UploadID"]}
    try:
        _answer(_request("PUT", path, session, {"content-range": _text(data)}, data[:8]))
    finally:
        handle_storage(_storage(), _request("DELETE", path, session, {}, b""))


def _range(data: bytes, place: Path) -> None:
    del place
    _answer(_request("GET", "/storage/v1/b/bucket/o/a%2Fb", {"alt": "media"}, {"range": _text(data)}, b""))


def _fields(data: bytes, place: Path) -> None:
    del place
    _answer(_request("GET", "/storage/v1/b/bucket/o/a%2Fb", {"fields": _text(data)}, {}, b""))


def _listing(data: bytes, place: Path) -> None:
    del place
    names = ("prefix", "delimiter", "pageToken", "maxResults", "startOffset", "endOffset", "matchGlob", "versions")
    values = dict(zip(names, _text(data).split("\n"), strict=False))
    _answer(_request("GET", "/storage/v1/b/bucket/o", values, {}, b""))


def _object(data: bytes, place: Path) -> None:
    del place
    for method, path in (
        ("POST", "/upload/storage/v1/b/bucket/o"),
        ("PATCH", "/storage/v1/b/bucket/o/a%2Fb"),
        ("POST", "/storage/v1/b/bucket/o/a%2Fb/copyTo/b/bucket/o/c"),
        ("POST", "/storage/v1/b/bucket/o/c/compose"),
        ("PATCH", "/storage/v1/b/bucket"),
    ):
        try:
            _answer(_request(method, path, {"uploadType": "resumable"}, {}, data))
        except ApiError:
            continue


def _path(data: bytes, place: Path) -> None:
    """The bytes are `METHOD path?query`, any path at all."""
    del place
    from cxr.cloud.emulator.http import parse_query
    from cxr.cloud.emulator.operation_names import operation_name
    from cxr.cloud.emulator.storage_api.routes import is_quick_storage, is_storage

    method, _, target = data.partition(b" ")
    path, _, query = target.partition(b"?")
    request = Request(
        _text(method), path.decode("utf-8", "replace"), {}, {}, Body(b"{}", size=2), "127.0.0.1:1", raw_query=query
    )
    try:
        parsed = parse_query(query)
        segments = request.segments
    except ValueError:
        return
    request = Request(request.method, request.raw_path, parsed, {}, request.body, request.host, query)
    operation_name(request.method, segments)
    if is_storage(segments) and (segments[2:] != ("b", "bucket") or method != b"DELETE"):
        is_quick_storage(request)
        _answer(request)


def _import_rows(name: str, data: bytes) -> None:
    from cxr.cloud.emulator.vertex_api.import_files import read_rows

    for row in read_rows(name, data.decode("utf-8", "replace")):
        assert isinstance(row, RowError) or row.uri.startswith("gs://")


def _filter(data: bytes, place: Path) -> None:
    del place
    from cxr.cloud.emulator.vertex_api.filtering import parse_filter

    fields = {"state": "state", "displayName": "displayName", "labels.*": "labels", "createTime": "createTime"}
    resource = {"state": "A", "displayName": "a", "labels": {"cxr-job": "1"}, "createTime": "2026-01-01T00:00:00Z"}
    parse_filter(data.decode("utf-8", "replace"), fields).matches(resource)


def _document(data: bytes) -> Any:
    from cxr.cloud.emulator.http import parse_json

    return parse_json(data)


def _faults(data: bytes, place: Path) -> None:
    del place
    from cxr.cloud.emulator.faults import Faults, Subject

    try:
        document = _document(data)
    except ValueError:
        return
    faults = Faults()
    faults.replace(document)
    faults.document()
    faults.choose(Subject("GET", "/storage/v1/b/x", "storage.objects.get", "x/y", 3, True))


def _outcomes(data: bytes, place: Path) -> None:
    del place
    from cxr.cloud.emulator.jobs.outcome_rules import rules_of

    try:
        document = _document(data)
    except ValueError:
        return
    for rule in rules_of(document):
        rule.fits("customJobs", {"displayName": "x", "labels": {}})


def _vertex(data: bytes, place: Path) -> None:
    del place
    from cxr.cloud.emulator.vertex_api.messages import json_object, parse, types

    body = json_object(data)
    for kind in (types.CustomJob, types.Dataset, types.BatchPredictionJob, types.Model):
        try:
            parse(kind, body)
        except ApiError:
            continue


_PARSERS: Mapping[str, tuple[Feed, tuple[type[BaseException], ...]]] = {
    "http-head": (_head, ()),
    "multipart": (_multipart, (ApiError,)),
    "resumable": (_resumable, (ApiError,)),
    "range": (_range, (ApiError,)),
    "fields": (_fields, (ApiError,)),
    "listing": (_listing, (ApiError,)),
    "object-attributes": (_object, (ApiError,)),
    "emulator-path": (_path, (ApiError,)),
    "import-csv": (lambda data, place: _import_rows("import.csv", data), ()),
    "import-jsonl": (lambda data, place: _import_rows("import.jsonl", data), ()),
    "filter": (_filter, (ApiError,)),
    "faults": (_faults, (FaultError,)),
    "outcomes": (_outcomes, (OutcomeError,)),
    "vertex-json": (_vertex, (ApiError,)),
}
SERVER: tuple[Target, ...] = tuple(Target(name, feed, refusals) for name, (feed, refusals) in _PARSERS.items())
