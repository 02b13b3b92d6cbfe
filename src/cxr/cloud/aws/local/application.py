"""The WSGI application: moto's, with a layer before it that knows what becomes of jobs.

Every call of SageMaker's API is whole with regard to the runner, so that no client sees a job as moto makes it
(completed) before it is what it is.
"""

from __future__ import annotations

import io
import json
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from cxr.cloud.aws.local.answers import Answer, ServiceError, StartResponse, error_answer, json_answer, validation_error
from cxr.cloud.aws.local.calls.call import Call, Handler, RefusedError
from cxr.cloud.aws.local.control import PATH, Control
from cxr.cloud.aws.local.settings import DEFAULT_REGION
from cxr.documents import parse_json

log = logging.getLogger(__name__)
#: What this machine is called by programs on it.
LOOPBACK = ("127.0.0.1", "localhost")
TARGET_PREFIX = "SageMaker."
WsgiApplication = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]


class Application:
    """Answers every request: its own URLs, SageMaker's calls through the handlers, and all others by moto."""

    def __init__(
        self, moto: WsgiApplication, lock: threading.RLock, handlers: Mapping[str, Handler], control: Control
    ) -> None:
        self._moto = moto
        self._lock = lock
        self._handlers = handlers
        self._control = control
        self._last = time.monotonic()

    @property
    def idle_seconds(self) -> float:
        """How long ago the last request came; questions for the status do not count."""
        return time.monotonic() - self._last

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """One request."""
        if is_web_page(environ):
            return refusal().send(start_response)
        path = str(environ.get("PATH_INFO", ""))
        if path.startswith(PATH):
            return self._control.answer(environ["REQUEST_METHOD"], path, _body(environ)).send(start_response)
        self._last = time.monotonic()
        target = str(environ.get("HTTP_X_AMZ_TARGET", ""))
        if not target.startswith(TARGET_PREFIX):
            return self._moto(environ, start_response)
        return self._call(target.removeprefix(TARGET_PREFIX), environ).send(start_response)

    def _call(self, action: str, environ: dict[str, Any]) -> Answer:
        body = _body(environ)
        handler = self._handlers.get(action)
        with self._lock:
            if handler is None:
                return self._asked(environ, body)
            try:
                answer = handler(
                    Call(
                        parse_json(body),
                        _region(environ),
                        lambda other: self._asked(environ, json.dumps(other).encode()),
                    )
                )
            except RefusedError as refused:
                return refused.answer
            except ServiceError as error:
                return error_answer(error)
            except (KeyError, ValueError, TypeError, AttributeError) as error:
                log.exception("%s", action)
                return error_answer(validation_error(f"{action} cannot be understood: {error!r}"))
        return answer if isinstance(answer, Answer) else json_answer(answer)

    def _asked(self, environ: Mapping[str, Any], body: bytes) -> Answer:
        """moto's answer to a request with another body."""
        said: list[Any] = []
        inner = {**environ, "wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
        content = b"".join(self._moto(inner, lambda status, headers, *_: said.extend((status, headers))))
        return Answer(said[0], said[1], content)


def is_web_page(environ: Mapping[str, Any]) -> bool:
    """Whether a request comes from a page that a browser has open, by its own name or by one that it lets point here.

    Jobs run any program, and the buckets hold patients' images. Amazon's SDK sends no Origin and uses the address
    itself, before which stands the bucket's name where a client wants that (`BUCKET.localhost`).
    """
    host = str(environ.get("HTTP_HOST", "")).rpartition(":")[0] or str(environ.get("HTTP_HOST", ""))
    is_own = host in LOOPBACK or host.endswith(".localhost")
    fetched = str(environ.get("HTTP_SEC_FETCH_SITE", "none")) not in {"none", "same-origin"}
    return "HTTP_ORIGIN" in environ or fetched or not is_own


def refusal() -> Answer:
    """The answer to a web page."""
    return json_answer({"error": {"message": "This server answers programs on this machine, not web pages."}}, 403)


def _body(environ: Mapping[str, Any]) -> bytes:
    content: bytes = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    return content


def _region(environ: Mapping[str, Any]) -> str:
    """The region in the scope of a request's signature."""
    scope = str(environ.get("HTTP_AUTHORIZATION", "")).partition("Credential=")[2].partition(",")[0].split("/")
    return scope[2] if len(scope) == 5 else DEFAULT_REGION
