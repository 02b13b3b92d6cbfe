"""Amazon credentials: found before anything else is tried, never printed."""

from __future__ import annotations

from cxr.errors import NotAllowed, missing_package
from cxr.storage.amazon.errors import s3_errors
from cxr.storage.login_hints import AMAZON_LOGIN


def check_credentials() -> None:
    """Look for credentials as boto3 finds them; nobody is asked whether they hold. Raises NotAllowed with the line that
    makes them, MissingPackage without boto3."""
    try:
        import boto3
    except ImportError as error:
        raise missing_package("boto3", "aws") from error
    with s3_errors("find AWS credentials"):
        found = boto3.session.Session().get_credentials()
    if found is None:
        raise NotAllowed("no AWS credentials were found", hint=AMAZON_LOGIN)
