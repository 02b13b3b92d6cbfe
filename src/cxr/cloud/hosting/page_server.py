"""The program that serves a page on a machine of its own. It travels with the page, and runs where nothing of cxr is:
the standard library of Python 3.9 is all that it may use.

    python3 page_server.py FOLDER --check          is all there that the list names, whole?
    python3 page_server.py FOLDER ADDRESS PORT     serve it

Only what the list names is served, each file with the headers that stand there: those of `cxr web serve`.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit

LIST, INDEX = "server/files.json", "index.html"
SCHEMA, SCHEMA_VERSION = "cxr.served-page", 1


def read_list(folder: Path) -> dict[str, Any]:
    """The files by their names: `sha256` (hex) of the stored bytes, whether these are `packed` (gzip), `headers`, and
    the `etag` of what is sent unpacked. Raises ValueError for a list that is none, and for a file that differs from
    it; OSError for one that is missing."""
    document = json.loads((folder / LIST).read_text(encoding="utf-8"))
    if (document["schema"], document["schema_version"]) != (SCHEMA, SCHEMA_VERSION):
        raise ValueError(f"{LIST} is of another version")
    files: dict[str, Any] = document["files"]
    for name, one in files.items():
        if hashlib.sha256((folder / name).read_bytes()).hexdigest() != one["sha256"]:
            raise ValueError(f"{name} is not what {LIST} says")
    return files


class FileHandler(BaseHTTPRequestHandler):
    """GET and HEAD of the `files` of a `folder`, as in cxr.webapp.serve."""

    folder: ClassVar[Path]
    files: ClassVar[dict[str, Any]]
    protocol_version = "HTTP/1.1"
    #: Seconds without a word after which a visitor's connection is closed.
    timeout = 60

    def do_GET(self) -> None:
        """Send a file."""
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        """Send a file's headers."""
        self._answer(with_body=False)

    def _answer(self, *, with_body: bool) -> None:
        name = unquote(urlsplit(self.path).path).lstrip("/") or INDEX
        one = self.files.get(name)
        if one is None:
            self._send(HTTPStatus.NOT_FOUND, {"Content-Type": "text/plain"}, b"not found\n", with_body=with_body)
            return
        headers = dict(one["headers"])
        body = (self.folder / name).read_bytes()
        if one["packed"] and "gzip" in self.headers.get("Accept-Encoding", ""):
            headers.update({"Content-Encoding": "gzip", "ETag": f'"{one["etag"]}-gzip"'})
        else:
            headers["ETag"] = f'"{one["etag"]}"'
            body = gzip.decompress(body) if one["packed"] else body
        if self._has(headers["ETag"]):
            known = {key: headers[key] for key in ("ETag", "Cache-Control", "Vary") if key in headers}
            self._send(HTTPStatus.NOT_MODIFIED, known, None, with_body=False)
        else:
            self._send(HTTPStatus.OK, headers, body, with_body=with_body)

    def _has(self, tag: str) -> bool:
        """Whether the browser says that it has this content (If-None-Match, RFC 9110 13.1.2)."""
        known = [one.strip() for one in self.headers.get("If-None-Match", "").split(",")]
        bare = [one[2:] if one.startswith("W/") else one for one in known]
        return tag in bare or bare == ["*"]

    def _send(self, status: HTTPStatus, headers: dict[str, str], body: bytes | None, *, with_body: bool) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if body is not None:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body and body is not None:
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: who looks at the page is not written down."""


def main(words: list[str]) -> int:
    """The program; its exit status."""
    folder = Path(words[0]).resolve()
    try:
        files = read_list(folder)
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"{folder} is not a whole page: {error}", file=sys.stderr)
        return 1
    if words[1] == "--check":
        return 0

    class Handler(FileHandler):
        pass

    Handler.folder, Handler.files = folder, files
    ThreadingHTTPServer((words[1], int(words[2])), Handler).serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
