"""The token endpoint of OAuth 2.0, as google-auth asks it: for a service account's signed claim, for a refresh token.

Source: https://developers.google.com/identity/protocols/oauth2/service-account#httprest (claims, invalid_grant) and
https://www.rfc-editor.org/rfc/rfc6749#section-6. The signature is not verified: nobody gave this server the key.
"""

from __future__ import annotations

import base64
import binascii
import secrets
import time
from typing import Any
from urllib.parse import parse_qs

from cxr.cloud.emulator.http import Request, Response, json_response
from cxr.cloud.emulator.project_api.circumstances import Circumstances
from cxr.documents import parse_json

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
LIFETIME_SECONDS = 3599
#: For whom google-auth says a claim is, whatever endpoint it sends it to.
AUDIENCE = "https://oauth2.googleapis.com/token"


def grant_token(request: Request, now: Circumstances) -> Response:
    """POST /token. A refusal is 400 with `error` and `error_description`."""
    form = {name: values[0] for name, values in parse_qs(request.body.read().decode("utf-8", "replace")).items()}
    match form.get("grant_type"):
        case "refresh_token":
            if not (form.get("client_id") and form.get("client_secret") and form.get("refresh_token")):
                return _refused("invalid_request", "client_id, client_secret and refresh_token are needed.")
            account, words = form["client_id"], "Token has been expired or revoked."
        case grant if grant == JWT_BEARER:
            claims = _claims(form.get("assertion", ""))
            if claims is None:
                return _refused("invalid_grant", "Invalid JWT: it has not three parts, or its claims are not JSON.")
            if problem := _problem(claims, f"{request.base_url}/token"):
                return _refused("invalid_grant", f"Invalid JWT: {problem}")
            account, words = str(claims["iss"]), "Invalid grant: account not found"
        case other:
            return _refused("unsupported_grant_type", f"Invalid grant_type: {other}")
    if {account, "*"} & set(now.refused_accounts):
        return _refused("invalid_grant", words)
    token = f"emulator-{secrets.token_urlsafe(24)}"
    return json_response({"access_token": token, "expires_in": LIFETIME_SECONDS, "token_type": "Bearer"})


def _claims(assertion: str) -> dict[str, Any] | None:
    parts = assertion.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = parse_json(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (binascii.Error, ValueError):
        return None
    return claims if isinstance(claims, dict) else None


def _problem(claims: dict[str, Any], audience: str) -> str:
    if not claims.get("iss") or not claims.get("scope"):
        return "iss and scope are needed."
    if claims.get("aud") not in {AUDIENCE, audience}:
        return f"aud is {claims.get('aud')!r}, not this endpoint."
    expires, issued = claims.get("exp"), claims.get("iat")
    if not isinstance(expires, int | float) or not isinstance(issued, int | float):
        return "iat and exp are needed."
    if expires < time.time() or expires - issued > 3600:
        return "it must be used within a reasonable timeframe (at most an hour)."
    return ""


def _refused(error: str, description: str) -> Response:
    return json_response({"error": error, "error_description": description}, status=400)
