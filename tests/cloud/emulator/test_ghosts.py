"""Objects whose bytes are made as they are read: as true as any other; and a dataset that takes no more than it may."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import google_crc32c
import pytest
import requests
from emulator_server import IMAGE_SCHEMA, IO_FORMAT, Server, Start, wait_until
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

TEMPLATE = b"\xff\xd8\xff\xe0 an image, for all that is looked at"


def _ghosts(server: Server, bucket: str, **document: Any) -> requests.Response:
    wanted = {"bucket": bucket, "like": "one.jpeg", "name": "images/{number}.jpeg", "count": 3, **document}
    return requests.put(f"{server.url}/_emulator/ghosts", json=wanted, timeout=60)


def _filled(server: Server, bucket: str, count: int) -> Server:
    server.bucket(bucket)
    server.put(bucket, "one.jpeg", TEMPLATE)
    assert _ghosts(server, bucket, count=count).json()["made"] == count
    return server


def _blobs(server: Server, bucket: str, **options: Any) -> Any:
    options_of_client = {"api_endpoint": server.url}
    client = storage.Client(project="p", credentials=AnonymousCredentials(), client_options=options_of_client)
    return client.list_blobs(bucket, prefix="images/", **options)


@pytest.fixture(scope="module")
def crowd(server: Server) -> Server:
    """2,500 ghosts in the bucket `crowd`."""
    return _filled(server, "crowd", 2500)


def test_a_ghosts_size_and_checksums_are_those_of_the_bytes_that_a_download_gives(server: Server) -> None:
    blobs = list(_blobs(_filled(server, "three", 3), "three"))
    assert [blob.name for blob in blobs] == [f"images/{number:08d}.jpeg" for number in range(3)]
    for number, blob in enumerate(blobs):
        data = blob.download_as_bytes()
        assert data == TEMPLATE + number.to_bytes(8, "big")
        assert blob.size == len(data)
        assert blob.md5_hash == base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
        assert blob.crc32c == base64.b64encode(google_crc32c.value(data).to_bytes(4, "big")).decode()
        assert blob.download_as_bytes(start=4, end=7) == data[4:8]


@pytest.mark.parametrize(("asked", "sizes"), [(None, [1000, 1000, 500]), (5000, [1000, 1000, 500]), (800, [800] * 3)])
def test_a_listing_has_pages_of_at_most_a_thousand_whatever_is_asked_for(
    crowd: Server, asked: int | None, sizes: list[int]
) -> None:
    pages = _blobs(crowd, "crowd", page_size=asked).pages
    assert [page.num_items for page in pages][:3] == sizes


def test_ghosts_outlive_the_server_and_each_other(start: Start, tmp_path: Path) -> None:
    from cxr.cloud.emulator import process

    server = _filled(start(), "ghostly", 5)
    path = "images%2F00000002.jpeg"
    assert requests.delete(f"{server.url}/storage/v1/b/ghostly/o/{path}", timeout=60).status_code == 204
    server.put("ghostly", "images/00000003.jpeg", b"stored")
    process.stop(server.state)
    again = start(server.state)
    there = {blob.name: blob.download_as_bytes() for blob in _blobs(again, "ghostly")}
    assert sorted(there) == [f"images/{number:08d}.jpeg" for number in (0, 1, 3, 4)]
    assert there["images/00000003.jpeg"] == b"stored"
    assert there["images/00000004.jpeg"].endswith(b"\x04")


def test_objects_that_are_there_stay_as_they_are(server: Server) -> None:
    server.bucket("mixed")
    server.put("mixed", "one.jpeg", TEMPLATE)
    server.put("mixed", "images/00000001.jpeg", b"stored")
    assert _ghosts(server, "mixed").json() == {"made": 2}
    assert _ghosts(server, "mixed").json() == {"made": 0}
    assert next(blob for blob in _blobs(server, "mixed") if "1.jpeg" in blob.name).download_as_bytes() == b"stored"


@pytest.mark.parametrize(
    ("document", "status"),
    [
        pytest.param({"name": "images/1.jpeg"}, 400, id="no place for the number"),
        pytest.param({"count": 0}, 400, id="none"),
        pytest.param({"count": 1_000_001}, 400, id="too many at once"),
        pytest.param({"first": 99_999_999}, 400, id="a number too long"),
        pytest.param({"count": "3"}, 400, id="a text for a number"),
        pytest.param({"colour": "red"}, 400, id="unknown field"),
        pytest.param({"like": "another.jpeg"}, 404, id="no such object"),
        pytest.param({"bucket": "no-such-bucket"}, 404, id="no such bucket"),
    ],
)
def test_a_request_for_ghosts_that_cannot_be_made_makes_none(
    crowd: Server, document: dict[str, Any], status: int
) -> None:
    wanted = {"bucket": "crowd", "like": "one.jpeg", "name": "images/more-{number}", "count": 3, **document}
    assert requests.put(f"{crowd.url}/_emulator/ghosts", json=wanted, timeout=60).status_code == status
    listed = requests.get(f"{crowd.url}/storage/v1/b/crowd/o?prefix=images/more", timeout=60).json()
    assert "items" not in listed


def _import(server: Server, dataset: str, numbers: range) -> dict[str, Any]:
    lines = [
        {"imageGcsUri": f"gs://ghostly/images/{number:08d}.jpeg", "classificationAnnotation": {"displayName": "A"}}
        for number in numbers
    ]
    server.put("ghostly", "import.jsonl", "\n".join(map(json.dumps, lines)).encode())
    config = {"gcsSource": {"uris": ["gs://ghostly/import.jsonl"]}, "importSchemaUri": IO_FORMAT}
    return server.done(server.ok("POST", f"{dataset}:import", {"importConfigs": [config]}))


def test_a_dataset_is_never_fuller_than_the_services_limit(tmp_path: Path) -> None:
    """A real server, whose limit is 20 instead of a million."""
    state = tmp_path / "emulator"
    code = (
        "import sys, cxr.cloud.emulator.vertex_api.importing as importing; importing.MAX_ITEMS = 20\n"
        f"sys.argv = ['emulator', '--state', {str(state)!r}, '--port', '0', '--idle-exit-seconds', '600']\n"
        "from cxr.cloud.emulator.__main__ import main; main()"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: (state / "server.json").exists())
        url = json.loads((state / "server.json").read_text())["url"]
        server = _filled(Server(state, url), "ghostly", 40)
        body = {"displayName": "d", "metadataSchemaUri": IMAGE_SCHEMA}
        dataset = server.done(server.ok("POST", f"{server.parent}/datasets", body))["response"]["name"]
        assert "error" not in _import(server, dataset, range(15))
        refused = _import(server, dataset, range(10, 25))["error"]
        assert (refused["code"], "more than the 20 images" in refused["message"]) == (8, True)
        # What a refused import had put in is out again, and what was there before stays.
        assert server.ok("GET", dataset)["dataItemCount"] == "15"
        assert "error" not in _import(server, dataset, range(10, 20))
        assert server.ok("GET", dataset)["dataItemCount"] == "20"
    finally:
        process.terminate()
        process.wait(120)
