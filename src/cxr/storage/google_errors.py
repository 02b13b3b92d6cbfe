"""The one place where Google's exceptions become ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import requests
from google.api_core import exceptions as api
from google.auth import exceptions as auth
from google.cloud.storage.exceptions import DataCorruption

from cxr.errors import CxrError, Fault, InputError, NotAllowed, NotFound, Unreachable

LOGIN_HINT = "gcloud auth application-default login (or set GOOGLE_APPLICATION_CREDENTIALS)"


@contextmanager
def google_errors(what: str) -> Iterator[None]:
    """Everything that Google's libraries raise inside the block leaves it as a CxrError that says `what` was tried."""
    try:
        yield
    except (api.GoogleAPIError, auth.GoogleAuthError, requests.RequestException, DataCorruption) as error:
        raise translate(error, what) from error


def translate(error: Exception, what: str) -> CxrError:
    """One of our errors for one of Google's; `what` is what was being done, for example `list gs://b/p`."""
    said = _message(error)
    match error:
        case auth.DefaultCredentialsError():
            return NotAllowed("no Google credentials were found", hint=LOGIN_HINT)
        case auth.RefreshError():
            return NotAllowed(f"the Google credentials were refused: {said}", hint=LOGIN_HINT)
        case api.Unauthorized():
            return NotAllowed(f"{what}: not signed in: {said}", hint=LOGIN_HINT)
        case api.Forbidden():
            return NotAllowed(f"{what}: {said}", hint="ask for the role that this needs, or try another --project")
        case api.TooManyRequests():
            return NotAllowed(f"{what}: over the quota: {said}", hint="wait a while, or ask for more quota")
        case api.NotFound():
            return NotFound(f"{what}: there is no such thing: {said}")
        case api.PreconditionFailed():
            return Fault(f"{what}: somebody else changed it meanwhile", hint="run the command again")
        case api.BadRequest():
            return InputError(f"{what}: refused by the service: {said}")
        case api.MethodNotImplemented():
            return Fault(f"{what}: the service does not do this: {said}")
        case api.RetryError() | api.ServerError() | requests.RequestException() | auth.TransportError():
            return Unreachable(f"{what}: the service could not be reached: {said}", hint="run the same command again")
        case DataCorruption():
            return Fault(f"{what}: the data arrived damaged: {said}", hint="run the same command again")
        case _:
            return Fault(f"{what}: {said}")


def _message(error: Exception) -> str:
    # The storage SDK puts the whole exchange into its message; the service's own sentence is in the response's body.
    response = getattr(error, "response", None)
    try:
        said = response.json()["error"]["message"]  # type: ignore[union-attr]
    except (AttributeError, KeyError, TypeError, ValueError):
        said = getattr(error, "message", None) or str(error)
    return " ".join(str(said).split())[:400]
