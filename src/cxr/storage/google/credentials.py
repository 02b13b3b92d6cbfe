"""Credentials for a server on this machine that speaks Google's APIs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from cxr.documents import parse_json
from cxr.errors import NotAllowed

KEY_FILE: Final = "GOOGLE_APPLICATION_CREDENTIALS"
_SCOPES: Final = ("https://www.googleapis.com/auth/cloud-platform",)
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})


def local_credentials() -> Any:
    """Anonymous ones, or those of the key file that GOOGLE_APPLICATION_CREDENTIALS names when its own token endpoint is
    on this machine, too: a sign-in that is rehearsed. Real credentials never go to a server that is not Google's.

    Raises NotAllowed for such a key file that is broken.
    """
    from google.auth.credentials import AnonymousCredentials, Credentials
    from google.oauth2 import service_account

    described = _key_file()
    if described is None or urlsplit(str(described.get("token_uri", ""))).hostname not in _LOOPBACK:
        return AnonymousCredentials()
    try:
        signer = service_account.Credentials.from_service_account_info(described, scopes=list(_SCOPES))
    except ValueError as error:
        raise NotAllowed(
            f"the key file that {KEY_FILE} names cannot be used", hint=f"mend or unset it: {KEY_FILE}"
        ) from error

    class Rehearsed(Credentials):
        """A service account's tokens, without what google-auth asks Google itself about the account beside them."""

        service_account_email = signer.service_account_email

        def refresh(self, request: Any) -> None:
            signer.refresh(request)
            self.token, self.expiry = signer.token, signer.expiry

    return Rehearsed()  # type: ignore[no-untyped-call]


def _key_file() -> dict[str, Any] | None:
    path = os.environ.get(KEY_FILE)
    try:
        described = parse_json(Path(path).read_text(encoding="utf-8")) if path else None
    except (OSError, ValueError):
        return None
    return described if isinstance(described, dict) and described.get("type") == "service_account" else None
