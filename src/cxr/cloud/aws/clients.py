"""boto3's clients of what jobs need, on Amazon or pointed at the server that stands for it; their errors as ours."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Final

from cxr.cloud.connection import Connection
from cxr.errors import CxrError, Fault, InputError, NotAllowed, NotFound, Unreachable, missing_package
from cxr.storage.amazon.errors import translate
from cxr.storage.amazon.session import AwsPlace, aws_client
from cxr.storage.login_hints import AMAZON_LOGIN

#: Seconds for one question; a connection that is not made after the first never will be.
CONNECT_S, READ_S = 5.0, 30.0
#: Said in a message, where SageMaker answers 400 for everything: Common Errors and the errors of each operation.
_NOT_THERE: Final = re.compile(r"not found|could not find|does not exist|there is no", re.IGNORECASE)
_QUOTA_CODES: Final = frozenset(
    {"ResourceLimitExceeded", "InstanceLimitExceeded", "MaxSpotInstanceCountExceeded", "VcpuLimitExceeded"}
)
_DENIED_CODES: Final = frozenset(
    {"AccessDeniedException", "AccessDenied", "UnauthorizedOperation", "AuthFailure", "OptInRequired"}
)
_LOGIN_CODES: Final = frozenset(
    {"UnrecognizedClientException", "InvalidClientTokenId", "ExpiredTokenException", "RequestExpired"}
)
_ABSENT_CODES: Final = frozenset(
    {"ResourceNotFound", "ResourceNotFoundException", "NoSuchEntity", "ParameterNotFound", "NoSuchResourceException"}
)
_IN_USE_CODES: Final = frozenset({"ResourceInUse", "IdempotentParameterMismatch"})
_NO_ROOM_CODES: Final = frozenset({"InsufficientInstanceCapacity", "SpotMaxPriceTooLow", "Unsupported"})


class InUseError(InputError):
    """A name that something else has already."""


def place_of(connection: Connection) -> AwsPlace:
    """Where a connection's requests go."""
    return AwsPlace(connection.region, connection.endpoint, local=not connection.billed)


def client(connection: Connection, service: str) -> Any:
    """boto3's client for `service` (sagemaker, ec2, logs, sts, ssm, service-quotas). Clients are kept: one takes a
    tenth of a second to make."""
    return _client(service, place_of(connection))


@lru_cache(maxsize=32)
def _client(service: str, place: AwsPlace) -> Any:
    try:
        from botocore.config import Config
    except ImportError as error:
        raise missing_package("boto3", "aws") from error
    config = Config(
        # Requests that change something are named by us: a repetition is refused, or finds what the first has made.
        retries={"total_max_attempts": 3, "mode": "standard"},
        connect_timeout=CONNECT_S,
        read_timeout=READ_S,
    )
    return aws_client(service, place, config)


@contextmanager
def aws_errors(what: str) -> Iterator[None]:
    """Everything that boto3 raises inside the block leaves it as a CxrError that says `what` was tried: NotFound for
    what is not there, InUseError for a name that is taken, NotAllowed for missing permissions and quotas."""
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError
    from urllib3.exceptions import HTTPError

    try:
        yield
    except (BotoCoreError, ClientError, ResponseParserError, HTTPError, ConnectionError) as error:
        raise _translated(error, what) from error


def _translated(error: Exception, what: str) -> CxrError:
    from botocore.exceptions import ClientError

    if not isinstance(error, ClientError):
        return translate(error, what)
    answer = error.response.get("Error", {})
    code, said = str(answer.get("Code", "")), " ".join(str(answer.get("Message", error)).split())[:400]
    if code in _LOGIN_CODES:
        return NotAllowed(f"{what}: the AWS credentials were refused: {said}", hint=AMAZON_LOGIN)
    if code in _DENIED_CODES:
        return NotAllowed(
            f"{what}: {said}", hint=f"ask for the permission {_permission(error, said)}, or use another AWS_PROFILE"
        )
    if code in _QUOTA_CODES:
        return NotAllowed(f"{what}: the account's quota is used up: {said}", hint=quota_hint())
    if code in _IN_USE_CODES:
        return InUseError(f"{what}: {said}")
    if code in _NO_ROOM_CODES:
        return Unreachable(
            f"{what}: there is no such machine at this moment: {said}", hint="another --machine or --region"
        )
    if (
        code in _ABSENT_CODES
        or code.endswith(".NotFound")
        or (code == "ValidationException" and _NOT_THERE.search(said))
    ):
        return NotFound(f"{what}: there is no such thing: {said}")
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if status == 404 and code in {"404", ""}:
        return Fault(f"{what}: the service does not do this: {said}")
    if status == 403:
        return NotAllowed(f"{what}: {said}", hint="use another AWS_PROFILE, or ask for the permission")
    return translate(error, what)


def _permission(error: Any, said: str) -> str:
    """`sagemaker:CreateTrainingJob`: as the message names it, else the operation."""
    found = re.search(r"perform: ([\w-]+:\w+)", said)
    return found.group(1) if found else str(error.operation_name)


def quota_hint() -> str:
    """Where more is asked for."""
    return "ask for more: Service Quotas in the AWS console; or another --machine"
