"""The one place where boto3's exceptions become ours."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from typing import Any, Final

from cxr.errors import CxrError, Fault, InputError, NotAllowed, NotFound, Unreachable, VersionConflict
from cxr.storage.login_hints import AMAZON_LOGIN

_AGAIN: Final = "run the same command again"
# Codes and their status: Amazon S3 API Reference, Error responses.
_LOGIN_CODES: Final = frozenset(
    {"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "AuthorizationHeaderMalformed"}
)
_BUSY_CODES: Final = frozenset({"SlowDown", "Throttling", "ThrottlingException", "RequestLimitExceeded"})
_BUSY_STATUS: Final = frozenset({429, 503})
#: 400 and 409 that say nothing about the request itself.
_PASSING_CODES: Final = frozenset(
    {"RequestTimeout", "IncompleteBody", "OperationAborted", "ConditionalRequestConflict", "PriorRequestNotComplete"}
)
_DAMAGED_CODES: Final = frozenset(
    {"BadDigest", "InvalidDigest", "XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch"}
)
#: What is asked of whom (Amazon S3 User Guide, Required permissions for Amazon S3 API operations).
_PERMISSION: Final = {
    "ListObjectsV2": "s3:ListBucket on the bucket",
    "HeadObject": "s3:GetObject on its objects and s3:ListBucket on the bucket",
    "GetObject": "s3:GetObject on its objects",
    "DeleteObject": "s3:DeleteObject on its objects",
    "ListParts": "s3:ListMultipartUploadParts on its objects",
    "AbortMultipartUpload": "s3:AbortMultipartUpload on its objects",
}
_WRITES: Final = frozenset({"PutObject", "CompleteMultipartUpload"})


class UploadOver(Unreachable):
    """An upload in parts that cannot go on: the next attempt starts anew."""


@contextmanager
def s3_errors(what: str) -> Iterator[None]:
    """Everything that boto3 raises inside the block leaves it as a CxrError that says `what` was tried."""
    # boto3 takes a third of a second to import, and is optional.
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError
    from urllib3.exceptions import HTTPError

    try:
        yield
    except (BotoCoreError, ClientError, ResponseParserError, HTTPError, ConnectionError) as error:
        raise translate(error, what) from error


def translate(error: Exception, what: str) -> CxrError:
    """One of our errors for one of boto3's; `what` is what was being done, for example `list s3://b/p`."""
    from botocore import exceptions as boto
    from botocore.parsers import ResponseParserError
    from urllib3.exceptions import HTTPError

    if isinstance(error, boto.ClientError):
        return _translate_answer(error, what)
    ours = getattr(error, "kwargs", {}).get("error")
    if isinstance(ours, CxrError):
        return ours  # raised while boto3 read a body of ours: the transfer was cancelled
    said = _one_line(error)
    match error:
        case boto.NoCredentialsError() | boto.PartialCredentialsError() | boto.CredentialRetrievalError():
            return NotAllowed("no AWS credentials were found", hint=AMAZON_LOGIN)
        case boto.TokenRetrievalError() | boto.UnauthorizedSSOTokenError() | boto.SSOTokenLoadError():
            return NotAllowed(f"the AWS credentials were refused: {said}", hint=AMAZON_LOGIN)
        case boto.ParamValidationError() | boto.ProfileNotFound() | boto.NoRegionError() | boto.InvalidRegionError():
            return InputError(f"{what}: {said}")
        case boto.FlexibleChecksumError():
            return Unreachable(f"{what}: the data arrived damaged: {said}", hint=_AGAIN)
        case boto.IncompleteReadError():
            return Unreachable(f"{what}: the answer was cut short: {said}", hint=_AGAIN)
        case ResponseParserError():
            # A proxy's page, say: what is in it is nobody's business here.
            return Unreachable(f"{what}: what answered does not speak as the service does", hint=_AGAIN)
        case boto.HTTPClientError() | boto.ConnectionError() | HTTPError() | ConnectionError():
            return Unreachable(f"{what}: the service could not be reached: {said}", hint=_AGAIN)
        case _:
            return Fault(f"{what}: {said}")


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds that an answer's Retry-After asks for (a number or an HTTP date, RFC 9110, section 10.2.3).

    A date is measured from the answer's own Date, so that this machine's clock may be wrong. `headers` are in lower
    case, as botocore gives them.
    """
    said = headers.get("retry-after", "").strip()
    if said.isdecimal():
        return float(said)
    until, now = _seconds(said), _seconds(headers.get("date", ""))
    return None if until is None else max(0.0, until - (time.time() if now is None else now))


def _seconds(date: str) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp()
    except (TypeError, ValueError):
        return None


def _translate_answer(error: Any, what: str) -> CxrError:
    answer = error.response.get("Error", {})
    code, said = str(answer.get("Code", "")), _one_line(answer.get("Message", error))
    meta = error.response.get("ResponseMetadata", {})
    status = int(meta.get("HTTPStatusCode", 0))
    operation, wait = str(error.operation_name), retry_after(meta.get("HTTPHeaders", {}))
    if code in _LOGIN_CODES or status == 401:
        return NotAllowed(f"{what}: the AWS credentials were refused: {said}", hint=AMAZON_LOGIN)
    if status == 403:
        needed = _PERMISSION.get(operation, "s3:PutObject on its objects")
        return NotAllowed(f"{what}: {said}", hint=f"ask for {needed}, or use another AWS_PROFILE")
    # If-Match on an object that has been deleted is answered with 404 and not with 412.
    if status == 412 or (code == "NoSuchKey" and operation in _WRITES):
        return VersionConflict(f"{what}: somebody else changed it meanwhile", hint="run the command again")
    if code == "NoSuchUpload" or (code == "ConditionalRequestConflict" and operation == "CompleteMultipartUpload"):
        return UploadOver(f"{what}: the upload has been ended: {said}", hint=_AGAIN, retry_after=wait)
    if status == 404:
        return NotFound(f"{what}: there is no such thing: {said}")
    if status == 501:
        return Fault(f"{what}: the service does not do this: {said}")
    for happened, is_so in (
        ("the data arrived damaged", code in _DAMAGED_CODES),
        ("the service asks for patience", status in _BUSY_STATUS or code in _BUSY_CODES),
        ("the service failed", status >= 500 or status == 408 or code in _PASSING_CODES),
    ):
        if is_so:
            return Unreachable(f"{what}: {happened}: {said}", hint=_AGAIN, retry_after=wait)
    return InputError(f"{what}: refused by the service: {said}")


def _one_line(message: object) -> str:
    return " ".join(str(message).split())[:400]
