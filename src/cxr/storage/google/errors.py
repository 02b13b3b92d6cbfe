"""The one place where Google's exceptions become ours."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from typing import Final

import requests
import urllib3
from google.api_core import exceptions as api
from google.auth import exceptions as auth
from google.cloud.storage.exceptions import DataCorruption

from cxr.errors import CxrError, Fault, InputError, NotAllowed, NotFound, Unreachable, VersionConflict
from cxr.storage.login_hints import GOOGLE_LOGIN

_DISK_FULL: Final = 507
#: What may be tried again, beside 5xx (https://cloud.google.com/storage/docs/retry-strategy).
TRANSIENT_STATUS: Final = frozenset({408, 429})
#: Not implemented; the disk is full (RFC 4918, section 11.5: the emulator's own, Google has none).
_FOR_GOOD: Final = frozenset({501, _DISK_FULL})
#: In the messages by which the service refuses bytes that are not what was declared, or a frame that is torn: both are
#: sent well, so they were damaged on the way.
_DAMAGED: Final = ("doesn't match calculated", "Malformed multipart")
#: In the message of a quota that is whole again after a minute; others stay spent until a job ends or more is granted.
_PER_MINUTE: Final = "per minute"
_AGAIN: Final = "run the same command again"
_CAUGHT = (
    api.GoogleAPIError,
    auth.GoogleAuthError,
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    ConnectionError,
    DataCorruption,
)


@contextmanager
def google_errors(what: str) -> Iterator[None]:
    """Everything that Google's libraries raise inside the block leaves it as a CxrError that says `what` was tried."""
    try:
        yield
    except _CAUGHT as error:
        raise translate(error, what) from error


@contextmanager
def storage_errors(what: str) -> Iterator[None]:
    """The same for Cloud Storage, where 408 and 429 ask for patience and are no question of quota."""
    try:
        yield
    except _CAUGHT as error:
        if isinstance(error, api.GoogleAPICallError) and _is_transient(error):
            raise Unreachable(
                f"{what}: the service could not be reached: {_message(error)}",
                hint=_AGAIN,
                retry_after=retry_after(error),
            ) from error
        raise translate(error, what) from error


#: The same for a question that is asked again and again: a wait outlasts a minute's quota.
polling_errors = storage_errors


def _is_transient(error: api.GoogleAPICallError) -> bool:
    code = int(error.code or 0)
    damaged = code == 400 and any(words in _message(error) for words in _DAMAGED)
    return code in TRANSIENT_STATUS or damaged or (code >= 500 and code not in _FOR_GOOD)


def translate(error: Exception, what: str) -> CxrError:
    """One of our errors for one of Google's; `what` is what was being done, for example `list gs://b/p`."""
    said = _message(error)
    match error:
        case auth.InvalidOperation():
            # An answer of 401 to somebody who has no credentials to renew, as on the emulator.
            return NotAllowed(f"{what}: not signed in, or not any more", hint=GOOGLE_LOGIN)
        case auth.DefaultCredentialsError():
            return NotAllowed("no Google credentials were found", hint=GOOGLE_LOGIN)
        case auth.RefreshError() if error.retryable:
            return Unreachable(f"{what}: the sign-in service could not be reached: {said}", hint=_AGAIN)
        case auth.RefreshError():
            return NotAllowed(f"the Google credentials were refused: {said}", hint=GOOGLE_LOGIN)
        case api.Unauthorized():
            return NotAllowed(f"{what}: not signed in: {said}", hint=GOOGLE_LOGIN)
        case api.Forbidden():
            return NotAllowed(f"{what}: {said}", hint="ask for the role that this needs, or try another --project")
        case api.TooManyRequests() if _PER_MINUTE in said:
            return Unreachable(f"{what}: too many requests: {said}", hint=_AGAIN, retry_after=retry_after(error))
        case api.TooManyRequests():
            return NotAllowed(f"{what}: over the quota: {said}", hint="wait a while, or ask for more quota")
        case api.NotFound():
            return NotFound(f"{what}: there is no such thing: {said}")
        case api.PreconditionFailed():
            return VersionConflict(f"{what}: somebody else changed it meanwhile", hint="run the command again")
        case api.BadRequest():
            return InputError(f"{what}: refused by the service: {said}")
        case api.MethodNotImplemented():
            return Fault(f"{what}: the service does not do this: {said}")
        case api.GoogleAPICallError() if error.code == _DISK_FULL:
            return Fault(f"{what}: {said}", hint="make room there, then run the same command again")
        case DataCorruption():
            return Unreachable(f"{what}: the data arrived damaged: {said}", hint=_AGAIN)
        case (
            api.RetryError()
            | api.ServerError()
            | requests.RequestException()
            | urllib3.exceptions.HTTPError()
            | ConnectionError()
            | auth.TransportError()
        ):
            return Unreachable(f"{what}: the service could not be reached: {said}", hint=_AGAIN)
        case _:
            return Fault(f"{what}: {said}")


def retry_after(error: Exception) -> float | None:
    """The seconds of the answer's Retry-After (a number or an HTTP date, RFC 9110, section 10.2.3), if it has one."""
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    return seconds_of(headers.get("Retry-After"), headers.get("Date"))


def seconds_of(text: str | None, date: str | None) -> float | None:
    """Seconds that a Retry-After header asks for. A moment is reckoned from the answer's own `date`: this machine's
    clock may be wrong."""
    if not text:
        return None
    if text.strip().isascii() and text.strip().isdigit():
        return float(text)
    try:
        now = parsedate_to_datetime(date).timestamp() if date else time.time()
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except (TypeError, ValueError):
        return None


def _message(error: Exception) -> str:
    # The storage SDK puts the whole exchange into its message; the service's own sentence is in the response's body.
    response = getattr(error, "response", None)
    try:
        said = response.json()["error"]["message"]  # type: ignore[union-attr]
    except (AttributeError, KeyError, TypeError, ValueError, RuntimeError, requests.RequestException):
        # not JSON, or a download whose body has been consumed
        said = getattr(error, "message", None) or str(error)
    return " ".join(str(said).split())[:400]
