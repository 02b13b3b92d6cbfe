"""A server that speaks S3 (moto's, on loopback), and a man in the middle who sees and spoils what passes."""

from __future__ import annotations

import http.client
import logging
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from cxr.storage.amazon.store import S3Store, open_s3_store


@dataclass
class Request:
    """One request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def query(self) -> dict[str, str]:
        """The parameters of the URL."""
        return {key: values[0] for key, values in parse_qs(urlsplit(self.path).query, keep_blank_values=True).items()}

    @property
    def action(self) -> str:
        """The name of the operation, as far as these tests ask for it."""
        query = self.query
        if "uploads" in query:
            return "create-upload"
        if "uploadId" in query:
            return {"PUT": "part", "POST": "complete", "GET": "list-parts", "DELETE": "abort"}[self.method]
        if "list-type" in query:
            return "list"
        return {"PUT": "put", "GET": "get", "HEAD": "head", "DELETE": "delete"}.get(self.method, self.method)


@dataclass
class Answer:
    """What goes back; `sent` bytes of the body at most, and nothing at all when `lost`."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    sent: int | None = None
    lost: bool = False


def error_answer(status: int, code: str, **headers: str) -> Answer:
    """An error as S3 writes it; of headers the underscores become dashes."""
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>because</Message></Error>".encode()
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return Answer(status, {"Content-Type": "application/xml", **named}, body)


class _Server(ThreadingHTTPServer):
    request_queue_size = 128  # with the usual five, many clients at once wait seconds for a connection


class Middle:
    """An HTTP server that passes requests on to `upstream`.

    `before` may change a request, or answer it instead; `after` may change an answer.
    """

    def __init__(self, upstream: str | None) -> None:
        self.upstream = urlsplit(upstream).netloc if upstream else None
        self.requests: list[Request] = []
        self.before: Callable[[Request], Answer | None] = lambda request: None
        self.after: Callable[[Request, Answer], Answer] = lambda request, answer: answer
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def actions(self) -> list[str]:
        """The operations so far."""
        return [request.action for request in self.requests]

    @contextmanager
    def running(self) -> Iterator[Middle]:
        """Serve until the block ends."""
        thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()

    def answer(self, request: Request) -> Answer:
        """The answer to one request."""
        self.requests.append(request)
        early = self.before(request)
        if early is not None:
            return early
        assert self.upstream is not None
        connection = http.client.HTTPConnection(self.upstream, timeout=300)
        headers = {key: value for key, value in request.headers.items() if key.lower() not in ("expect", "connection")}
        try:
            connection.request(request.method, request.path, body=request.body, headers=headers)
            found = connection.getresponse()
            body = found.read()
            return self.after(request, Answer(found.status, dict(found.getheaders()), body))
        finally:
            connection.close()


def _handler(middle: Middle) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            self.close_connection = True
            length = int(self.headers.get("Content-Length", 0))
            body = self.rfile.read(length)
            if len(body) < length:
                return  # the sender has gone
            answer = middle.answer(Request(self.command, self.path, dict(self.headers.items()), body))
            if answer.lost:
                return
            self.send_response_only(answer.status)
            headers = {key.lower(): value for key, value in answer.headers.items()}
            if self.command != "HEAD":
                headers["content-length"] = str(len(answer.body))
            for key, value in (headers | {"connection": "close"}).items():
                self.send_header(key, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.body[: answer.sent])

        do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _serve  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing."""

    return Handler


@dataclass
class S3:
    """An empty bucket behind a man in the middle, and boto3's client that goes past him."""

    middle: Middle
    client: Any
    bucket: str

    def store(self, **options: Any) -> S3Store:
        """A new store at the prefix `xrays` of the bucket, through the middle."""
        return open_s3_store(f"s3://{self.bucket}/xrays", endpoint=self.middle.url, **options)

    @property
    def uploads(self) -> int:
        """Uploads in parts that are neither complete nor taken back."""
        return len(self.client.list_multipart_uploads(Bucket=self.bucket).get("Uploads", ()))

    @property
    def keys(self) -> list[str]:
        """The keys of all objects."""
        return [found["Key"] for found in self.client.list_objects_v2(Bucket=self.bucket).get("Contents", ())]


@contextmanager
def moto_origin() -> Iterator[str]:
    """The origin of moto's server; boto3 finds credentials and a region in the environment."""
    pytest.importorskip("boto3", reason='needs the extra: pip install "cxr[aws]"')
    server_module = pytest.importorskip("moto.server", reason="needs moto[s3,server] of the dev group")
    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
            patch.delenv(name, raising=False)
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "nobody")
        for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
            patch.setenv(name, "/nowhere")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        yield f"http://{host}:{port}"
    server.stop()


@contextmanager
def new_bucket(origin: str) -> Iterator[S3]:
    """An empty bucket of the server at `origin`."""
    import boto3

    client = boto3.session.Session().client("s3", endpoint_url=origin)
    bucket = f"store-{uuid.uuid4().hex[:8]}"
    client.create_bucket(Bucket=bucket)
    with Middle(origin).running() as middle:
        yield S3(middle, client, bucket)
