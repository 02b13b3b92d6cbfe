"""The bucket, as every cloud has it: there and in the jobs' region, or still to be made."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from cxr.cloud.preflight.findings import Finding, Level
from cxr.cloud.preflight.subject import Purpose
from cxr.cloud.preflight.survey import Survey
from cxr.cloud.uploading import check_location
from cxr.errors import NotAllowed, UsageError
from cxr.storage.login_hints import LOGIN_HINTS


def exists(survey: Survey) -> Iterator[Finding]:
    """The bucket is there and in the jobs' region, or is still to be made."""
    where, purpose = survey.connection, survey.subject.purpose
    url = where.bucket_url
    try:
        bucket = survey.bucket
    except NotAllowed as error:
        if error.hint in LOGIN_HINTS:
            raise
        found = where.provider.finding_of("bucket", error, where, essential=True)
        # Names of buckets are global: a stranger's bucket answers the same.
        others = "if the name is somebody else's, another one: --bucket NAME"
        yield replace(found, resource=url, next=f"{found.next}; {others}")
        return
    if bucket.location is None:
        if purpose in {Purpose.UPLOAD, Purpose.IMAGE}:
            yield Finding(Level.OK, "bucket", f"{url} will be made in {where.region}, private")
        else:
            words = "there is no such bucket; an upload makes it, private"
            yield Finding(Level.ERROR, "bucket", words, url, survey.upload_command)
        return
    if purpose is not Purpose.IMAGE:
        try:
            check_location(where, bucket)
        except UsageError as error:
            yield Finding(Level.ERROR, "bucket", error.message, url, error.hint or "")
            return
    yield Finding(Level.OK, "bucket", f"{url} in {bucket.location}")


def not_made(check: str) -> Finding:
    """The finding of a check that looks at a bucket that is still to be made."""
    return Finding(Level.SKIPPED, check, "not looked at: the bucket is still to be made")
