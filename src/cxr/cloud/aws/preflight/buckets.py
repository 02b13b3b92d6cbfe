"""The bucket on Amazon: closed to the public. Source: Amazon S3 User Guide, Blocking public access."""

from __future__ import annotations

from collections.abc import Iterator

from cxr.cloud.aws.preflight.survey import AccountSurvey
from cxr.cloud.preflight.buckets import not_made
from cxr.cloud.preflight.findings import Finding, Level
from cxr.storage.amazon.buckets import ALL_BLOCKED


def is_private(survey: AccountSurvey) -> Iterator[Finding]:
    """Public access is blocked: patients' images must not become public by a policy or an access list."""
    bucket = survey.bucket
    url = f"s3://{bucket.name}"
    if bucket.location is None:
        yield not_made("bucket-private")
        return
    if bucket.private:
        yield Finding(Level.OK, "bucket-private", "public access is blocked")
        return
    block = ",".join(f"{name}=true" for name in ALL_BLOCKED)
    line = f"aws s3api put-public-access-block --bucket {bucket.name} --public-access-block-configuration {block}"
    if survey.bucket_is_public:
        yield Finding(
            Level.ERROR, "bucket-private", "everybody can read what is in it", url, f"{line}, or --bucket NAME"
        )
        return
    words = "public access is not blocked, or this account may not see that it is"
    yield Finding(Level.WARNING, "bucket-private", words, url, line)
