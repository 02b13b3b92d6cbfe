"""Amazon S3 (or a server that speaks its API), as far as a listing needs it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from cxr.errors import CxrError, Fault, InputError, NotAllowed, NotFound, Unreachable, missing_package
from cxr.storage.store import ObjectInfo

LOGIN_HINT: Final = "aws configure (or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE)"
#: The most objects that one answer lists (Amazon S3 API Reference, ListObjectsV2).
MAX_PAGE: Final = 1000
#: An ETag with a dash is a digest of the parts' digests (multipart upload), not the md5 of the bytes.
_MD5: Final = re.compile(r"[0-9a-f]{32}")
#: Server-side encryption under which the ETag is not the md5, whatever it looks like (Amazon S3 API Reference, Object).
_NOT_MD5_ENCRYPTION: Final = frozenset({"aws:kms", "aws:kms:dsse"})
_LOGIN_CODES: Final = frozenset(
    {"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "AuthorizationHeaderMalformed"}
)


def open_s3_listing(url: str) -> S3Listing:
    """The listing of `s3://bucket/prefix`; region, endpoint and credentials are found as boto3 finds them.

    Raises InputError when the URL names no bucket, MissingPackage without boto3.
    """
    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    if not bucket:
        raise InputError(f"{url!r} names no bucket", hint="use s3://bucket/prefix")
    try:
        import boto3
    except ImportError as error:
        raise missing_package("boto3", "aws") from error
    with s3_errors("open S3"):
        # A session of its own: the default one would keep the first credentials that it ever found.
        client = boto3.session.Session().client("s3")
    return S3Listing(client, bucket, prefix.strip("/"))


class S3Listing:
    """Objects under `s3://bucket/prefix`, by name, size and (where the ETag is one) md5."""

    def __init__(self, client: Any, bucket: str, prefix: str, *, page_size: int = MAX_PAGE) -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._page_size = page_size

    @property
    def url(self) -> str:
        """`s3://bucket/prefix`."""
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/")

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """All objects whose name starts with `prefix`, page by page.

        The ETag of an upload in parts is no md5, nor is that of an object encrypted by KMS or a customer's key. The
        listing does not tell encryption, and to ask for each would take a request an object: so the first of each page
        (1000 objects) is asked, for its page. Where it may not be asked, no ETag is taken from there on. Where objects
        of one page are encrypted in different ways, some may still have an md5 that is none.
        """
        askable = True
        with s3_errors(f"list {self.url}"):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._prefix + prefix, PaginationConfig={"PageSize": self._page_size}
            )
            for page in pages:
                trusted: bool | None = None if askable else False
                for found in page.get("Contents", ()):
                    etag = str(found.get("ETag", "")).strip('"')
                    md5 = etag if _MD5.fullmatch(etag) else ""
                    if md5 and trusted is None:
                        trusted = self._has_md5_etag(found["Key"])
                        askable = trusted is not None
                    name = str(found["Key"]).removeprefix(self._prefix)
                    yield ObjectInfo(name, int(found["Size"]), "", None, md5 if trusted else "")

    def _has_md5_etag(self, key: str) -> bool | None:
        """None where the object may not be asked."""
        from botocore.exceptions import ClientError

        try:
            head = self._client.head_object(Bucket=self._bucket, Key=key)
        except ClientError:
            return None  # no permission to read, or a customer's key: then it cannot be known
        return head.get("ServerSideEncryption") not in _NOT_MD5_ENCRYPTION and "SSECustomerAlgorithm" not in head


@contextmanager
def s3_errors(what: str) -> Iterator[None]:
    """Everything that boto3 raises inside the block leaves it as a CxrError that says `what` was tried."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise _translate(error, what) from error


def _translate(error: Exception, what: str) -> CxrError:
    from botocore import exceptions as boto

    if isinstance(error, boto.ClientError):
        return _translate_answer(error, what)
    said = " ".join(str(error).split())[:400]
    match error:
        case boto.NoCredentialsError() | boto.PartialCredentialsError() | boto.CredentialRetrievalError():
            return NotAllowed("no AWS credentials were found", hint=LOGIN_HINT)
        case boto.TokenRetrievalError() | boto.UnauthorizedSSOTokenError() | boto.SSOTokenLoadError():
            return NotAllowed(f"the AWS credentials were refused: {said}", hint=LOGIN_HINT)
        case boto.ParamValidationError() | boto.ProfileNotFound() | boto.NoRegionError():
            return InputError(f"{what}: {said}")
        case boto.HTTPClientError() | boto.ConnectionError():
            return Unreachable(f"{what}: the service could not be reached: {said}", hint="run the same command again")
        case _:
            return Fault(f"{what}: {said}")


def _translate_answer(error: Any, what: str) -> CxrError:
    answer = error.response.get("Error", {})
    code, said = str(answer.get("Code", "")), " ".join(str(answer.get("Message", error)).split())[:400]
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code in _LOGIN_CODES or status == 401:
        return NotAllowed(f"{what}: the AWS credentials were refused: {said}", hint=LOGIN_HINT)
    if status == 403:
        return NotAllowed(f"{what}: {said}", hint="ask for s3:ListBucket on the bucket, or use another AWS_PROFILE")
    if status == 404:
        return NotFound(f"{what}: there is no such thing: {said}")
    if status in {429, 503} or code == "SlowDown":
        return Unreachable(f"{what}: the service asks for patience: {said}", hint="run the same command again")
    if status >= 500:
        return Unreachable(f"{what}: the service failed: {said}", hint="run the same command again")
    return InputError(f"{what}: refused by the service: {said}")
