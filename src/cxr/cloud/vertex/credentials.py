"""Google credentials: found before anything else is tried, never printed."""

from __future__ import annotations

from cxr.errors import missing_package


def check_credentials() -> None:
    """Look for Application Default Credentials. Raises NotAllowed with the line that makes them."""
    try:
        import google.auth
    except ImportError as error:
        raise missing_package("google-cloud-aiplatform", "gcp") from error
    from cxr.storage.google.errors import google_errors

    with google_errors("find Google credentials"):
        google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
