"""What a service says or does that is not an answer becomes one of our errors, after one attempt."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cxr.errors import CxrError, Fault, InputError, Interrupted, NotAllowed, NotFound, Unreachable, VersionConflict
from cxr.storage.amazon.errors import retry_after
from cxr.storage.amazon.store import S3Store, open_s3_store
from cxr.storage.limits import Limits, Pace
from cxr.storage.store import ABSENT
from s3_server import Answer, Middle, Request, error_answer

pytest.importorskip("boto3", reason='needs the extra: pip install "cxr[aws]"')


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "nobody")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/nowhere")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def service() -> Iterator[Middle]:
    """A server that answers as it is told."""
    with Middle(None).running() as middle:
        yield middle


def answering(service: Middle, answer: Answer, **options: object) -> S3Store:
    service.before = lambda request: answer
    return open_s3_store("s3://bucket", endpoint=service.url, **options)  # type: ignore[arg-type]


CALLS: dict[str, Callable[[S3Store], object]] = {
    "list": lambda store: list(store.list()),
    "stat": lambda store: store.stat("x"),
    "put": lambda store: store.put_bytes("x", b"1", if_version=ABSENT),
    "get": lambda store: store.get_bytes("x"),
    "delete": lambda store: store.delete("x"),
}
PASSING = [
    (408, "RequestTimeout"),
    (429, "TooManyRequests"),
    (500, "InternalError"),
    (502, "BadGateway"),
    (503, "SlowDown"),
    (504, "GatewayTimeout"),
]


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize(("status", "code"), PASSING)
def test_what_may_pass_is_unreachable_once_and_says_how_long(
    service: Middle, call: Callable[[S3Store], object], status: int, code: str
) -> None:
    with pytest.raises(Unreachable) as caught:
        call(answering(service, error_answer(status, code, Retry_After="7")))
    assert caught.value.retry_after == 7.0
    assert not caught.value.made_progress
    assert len(service.requests) == 1


@pytest.mark.parametrize(
    ("status", "code", "kind", "said"),
    [
        (400, "RequestTimeout", Unreachable, "the service failed"),
        (400, "BadDigest", Unreachable, "arrived damaged"),
        (400, "InvalidDigest", Unreachable, "arrived damaged"),
        (400, "XAmzContentChecksumMismatch", Unreachable, "arrived damaged"),
        (400, "ExpiredToken", NotAllowed, "the AWS credentials were refused"),
        (400, "InvalidRequest", InputError, "refused by the service: because"),
        (401, "Unauthorized", NotAllowed, "refused"),
        (403, "AccessDenied", NotAllowed, "write s3://bucket/x: because"),
        (403, "SignatureDoesNotMatch", NotAllowed, "the AWS credentials were refused"),
        (404, "NoSuchBucket", NotFound, "no such thing"),
        (404, "NoSuchKey", VersionConflict, "somebody else"),
        (409, "ConditionalRequestConflict", Unreachable, "the service failed"),
        (409, "InvalidBucketState", InputError, "refused by the service"),
        (412, "PreconditionFailed", VersionConflict, "somebody else"),
        (501, "NotImplemented", Fault, "does not do this"),
    ],
)
def test_each_refusal_has_its_error(service: Middle, status: int, code: str, kind: type[CxrError], said: str) -> None:
    with pytest.raises(CxrError, match=said) as caught:
        answering(service, error_answer(status, code)).put_bytes("x", b"1", if_version="v")
    assert type(caught.value) is kind


@pytest.mark.parametrize(("call", "needed"), [("list", "ListBucket"), ("get", "GetObject"), ("put", "PutObject")])
def test_the_hint_names_the_permission(service: Middle, call: str, needed: str) -> None:
    with pytest.raises(NotAllowed) as caught:
        CALLS[call](answering(service, error_answer(403, "AccessDenied")))
    assert caught.value.hint is not None
    assert f"s3:{needed}" in caught.value.hint


def test_retry_after_is_seconds_or_a_date_by_the_services_own_clock() -> None:
    date = "Fri, 31 Dec 1999 23:59:59 GMT"
    assert retry_after({"retry-after": "120"}) == 120.0
    assert retry_after({"retry-after": date, "date": "Fri, 31 Dec 1999 23:59:49 GMT"}) == 10.0
    assert retry_after({"retry-after": date}) == 0.0
    for headers in ({}, {"retry-after": ""}, {"retry-after": "soon"}, {"retry-after": "-1"}):
        assert retry_after(headers) is None


def test_an_error_behind_the_status_200_is_an_error(service: Middle, tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(bytes(9 << 20))
    failed = error_answer(200, "InternalError")
    begun = b"<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>"

    def before(request: Request) -> Answer:
        match request.action:
            case "head":
                return Answer(404)
            case "create-upload":
                return Answer(body=begun)
            case "part":
                return Answer(headers={"ETag": '"opaque"'})
            case _:
                return failed

    service.before = before
    with pytest.raises(Unreachable, match="the service failed: because"):
        open_s3_store("s3://bucket", endpoint=service.url).put_file("x", tmp_path / "big", if_version=ABSENT)
    assert service.actions == ["head", "create-upload", "part", "part", "complete", "abort"]


def test_an_answer_that_never_comes_and_one_that_is_cut_are_unreachable(service: Middle) -> None:
    for call in CALLS.values():
        with pytest.raises(Unreachable, match="could not be reached"):
            call(answering(service, Answer(lost=True)))
    store = answering(service, Answer(headers={"ETag": '"x"'}, body=b"y" * 1000, sent=10))
    with pytest.raises(Unreachable, match="cut short"):
        store.get_bytes("x")
    assert len(service.requests) == len(CALLS) + 1


def test_a_service_that_is_silent_or_not_there_is_unreachable(service: Middle) -> None:
    over = threading.Event()
    service.before = lambda request: Answer(lost=over.wait(60))
    store = open_s3_store("s3://bucket", endpoint=service.url, limits=Limits(stall_s=0.1))
    with pytest.raises(Unreachable, match=r"(?i)read timeout"):
        store.put_bytes("x", b"1")
    over.set()
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(Unreachable, match="could not be reached"):
            open_s3_store("s3://bucket", endpoint=nobody).get_bytes("x")


@pytest.mark.parametrize("size", [1, 1 << 20])
def test_a_cancelled_transfer_ends_within_a_body(service: Middle, size: int) -> None:
    pace = Pace()
    store = answering(service, Answer(headers={"ETag": '"x"'}, body=bytes(size)), limits=Limits(pace=pace))
    pace.cancelled.set()
    with pytest.raises(Interrupted):
        store.put_bytes("x", bytes(size))
    with pytest.raises(Interrupted):
        store.get_bytes("x")


def test_absent_credentials_are_not_allowed(service: Middle, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with pytest.raises(NotAllowed, match="no AWS credentials"):
        answering(service, Answer()).get_bytes("x")
    assert service.requests == []
