"""Whose credentials these are, and whether they still hold. No token is ever shown, or kept."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from typing import Any, Final

from cxr.cloud.connection import Connection
from cxr.errors import NotAllowed, missing_package
from cxr.storage.google.credentials import local_credentials
from cxr.storage.google.errors import google_errors
from cxr.storage.login_hints import GOOGLE_LOGIN

SCOPES: Final = ("https://www.googleapis.com/auth/cloud-platform",)
#: By the module of google-auth that makes the credentials.
_KINDS: Final = {
    "google.oauth2.service_account": "service account",
    "google.oauth2.credentials": "user account",
    "google.auth.compute_engine.credentials": "this machine's service account",
    "google.auth.impersonated_credentials": "impersonated service account",
    "google.auth.identity_pool": "federated identity",
    "google.auth.aws": "federated identity",
    "google.auth.pluggable": "federated identity",
    "google.auth.external_account_authorized_user": "federated user",
}
_USER: Final = "user account"
NAMED_FILE: Final = "GOOGLE_APPLICATION_CREDENTIALS"


@dataclass(frozen=True, slots=True)
class Account:
    """A kind of account, and its e-mail (or what else is known of it)."""

    kind: str
    name: str = ""
    needs_quota_project: bool = False

    @property
    def words(self) -> str:
        """`service account trainer@my-project.iam.gserviceaccount.com`."""
        return f"{self.kind} {self.name}".strip()


def current_account(connection: Connection) -> Account:
    """The account of the Application Default Credentials, after a token was got with them.

    Raises NotAllowed when there are none or they are refused (expired, revoked, deleted), Unreachable when nobody could
    be asked. The emulator wants none, and gets only those that are its own.
    """
    if connection.endpoint:
        local = local_credentials()
        is_signed_in = hasattr(local, "service_account_email")
        return checked_account(local) if is_signed_in else Account("nobody: the emulator asks for no credentials")
    return checked_account(default_credentials())


def default_credentials() -> Any:
    """The Application Default Credentials; no token is got. Raises NotAllowed when there are none."""
    try:
        import google.auth
    except ImportError as error:
        raise missing_package("google-auth", "gcp") from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the quota project is given with each request
        try:
            with google_errors("find Google credentials"):
                credentials, _ = google.auth.default(scopes=list(SCOPES))
        except NotAllowed as error:
            if not os.environ.get(NAMED_FILE):
                raise
            raise NotAllowed(
                f"{error.message}: {_first_sentence(error.__cause__)}", hint=f"mend {NAMED_FILE}"
            ) from error
    return credentials


def checked_account(credentials: Any) -> Account:
    """The account of credentials that give a token. Raises NotAllowed when they do not, Unreachable when nobody could
    be asked."""
    from google.auth.exceptions import RefreshError
    from google.auth.transport.requests import Request

    account = account_of(credentials)
    try:
        with google_errors("sign in"):
            credentials.refresh(Request())
    except NotAllowed as error:
        if isinstance(error.__cause__, RefreshError):
            raise NotAllowed(
                f"the {account.words} is refused: {_refusal(error.__cause__)}", hint=_hint(account)
            ) from error
        raise
    return account_of(credentials)  # some learn their name only from the answer


def account_of(credentials: Any) -> Account:
    """What credentials say of themselves; nobody is asked."""
    kind = _KINDS.get(type(credentials).__module__, type(credentials).__module__)
    name = str(getattr(credentials, "service_account_email", None) or getattr(credentials, "account", None) or "")
    if kind == _USER and not name:
        name = "(gcloud auth application-default login)"
    needs = kind == _USER and not getattr(credentials, "quota_project_id", None)
    return Account(kind, "" if name == "default" else name, needs)


def _refusal(error: Exception) -> str:
    # (words, the answer): of the answer only what RFC 6749 calls error and error_description is told.
    answer = error.args[1] if len(error.args) > 1 and isinstance(error.args[1], dict) else {}
    code, described = str(answer.get("error", "")), str(answer.get("error_description", ""))
    if code == "invalid_grant" and "expired or revoked" in described:
        return "the sign-in has expired or was revoked"
    return ": ".join(part for part in (code, described) if part) or "no token was given"


def _hint(account: Account) -> str:
    if account.kind == "service account":
        return f"a new key: gcloud iam service-accounts keys create key.json --iam-account {account.name}"
    return GOOGLE_LOGIN


def _first_sentence(error: BaseException | None) -> str:
    return " ".join(str(error).split()).split(". ")[0]
