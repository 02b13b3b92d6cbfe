"""What lies beside a page so that a machine can serve it: the program, and the list of the files with their headers."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Sequence
from importlib.resources import files as package_files
from pathlib import PurePosixPath
from typing import Any, Final

from cxr.cloud.hosting.files import HostedFile, hosted_file
from cxr.cloud.hosting.page_server import LIST, SCHEMA, SCHEMA_VERSION
from cxr.webapp.headers import COMPRESSED, headers_for

PROGRAM: Final = "server/page_server.py"


def server_files(page: Sequence[HostedFile]) -> tuple[HostedFile, ...]:
    """The program and the list for the files of a page; both are stored as they are. The list is the last: a new one
    tells the machine that there is a new page."""
    listed = {one.name: _entry(one) for one in page}
    document = {"schema": SCHEMA, "schema_version": SCHEMA_VERSION, "files": listed}
    program = package_files("cxr.cloud.hosting").joinpath("page_server.py").read_bytes()
    text = (json.dumps(document, indent=1) + "\n").encode()
    return hosted_file(PROGRAM, program, pack=False), hosted_file(LIST, text, pack=False)


def _entry(one: HostedFile) -> dict[str, Any]:
    packed = bool(one.headers.content_encoding)
    plain = gzip.decompress(one.data) if packed else one.data
    headers = headers_for(one.name)
    if PurePosixPath(one.name).suffix in COMPRESSED:
        headers["Vary"] = "Accept-Encoding"
    return {
        "sha256": hashlib.sha256(one.data).hexdigest(),
        "packed": packed,
        "etag": hashlib.sha256(plain).hexdigest()[:32],
        "headers": headers,
    }
