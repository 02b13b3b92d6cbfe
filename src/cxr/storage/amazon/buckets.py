"""Buckets of Amazon S3: where they are, whether anybody may look inside, and how a private one is made.

Sources: Amazon S3 User Guide, Blocking public access; Controlling ownership of objects and disabling ACLs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from cxr.errors import InputError, NotAllowed, NotFound
from cxr.storage.amazon.errors import s3_errors
from cxr.storage.amazon.session import AwsPlace
from cxr.storage.amazon.store import s3_client
from cxr.storage.bucket_state import BucketState
from cxr.storage.transfer.haul import Haul

#: The region that makes buckets when none is named; it may not be named.
FIRST_REGION: Final = "us-east-1"
#: What GetBucketLocation still calls some regions.
_OLD_NAMES: Final = {"": FIRST_REGION, "EU": "eu-west-1"}
ALL_BLOCKED: Final = dict.fromkeys(
    ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True
)

Result = TypeVar("Result")


def find_s3_bucket(name: str, *, place: AwsPlace, haul: Haul | None = None) -> BucketState:
    """Look a bucket up; raises NotAllowed when it belongs to somebody else.

    `private` says that all four blocks of public access are on; who may not read them is told that they are not.
    """
    haul = haul or Haul()
    client = s3_client(workers=1, place=place, limits=haul.limits)
    try:
        found = _ask(haul, f"look up s3://{name}", lambda: client.get_bucket_location(Bucket=name))
    except NotFound:
        return BucketState(name, None)
    block = _ask_or_none(
        haul,
        f"read the public access block of s3://{name}",
        lambda: client.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"],
    )
    private = block is not None and all(block.get(one) for one in ALL_BLOCKED)
    return BucketState(name, region_of(found), private=private)


def region_of(location: Mapping[str, Any]) -> str:
    """The region in an answer of GetBucketLocation."""
    where = str(location.get("LocationConstraint") or "")
    return _OLD_NAMES.get(where, where).lower()


def shows_everybody(name: str, *, place: AwsPlace) -> bool:
    """Whether a bucket's policy or its access list shows something to everybody (GetBucketPolicyStatus and
    GetBucketAcl, which are the service's own verdicts). Where it may not be asked, False."""
    haul = Haul()
    client = s3_client(workers=1, place=place, limits=haul.limits)
    status = _ask_or_none(
        haul,
        f"read the policy's status of s3://{name}",
        lambda: client.get_bucket_policy_status(Bucket=name)["PolicyStatus"],
    )
    grants = _ask_or_none(
        haul, f"read the access list of s3://{name}", lambda: client.get_bucket_acl(Bucket=name)["Grants"]
    )
    groups = [str(one.get("Grantee", {}).get("URI", "")) for one in grants or ()]
    listed = any(uri.endswith(("/global/AllUsers", "/global/AuthenticatedUsers")) for uri in groups)
    return bool(status and status.get("IsPublic")) or listed


def create_private_s3_bucket(name: str, *, region: str, place: AwsPlace, haul: Haul | None = None) -> None:
    """Make a bucket in `region` with public access blocked and access lists disabled.

    One that is ours and there already (an earlier attempt whose answer was lost) is taken when it is in that region;
    public access is blocked there, too. Raises InputError when the name is taken.
    """
    haul = haul or Haul()
    client = s3_client(workers=1, place=place, limits=haul.limits)
    where: dict[str, Any] = {"ObjectOwnership": "BucketOwnerEnforced"}
    if region != FIRST_REGION:
        where["CreateBucketConfiguration"] = {"LocationConstraint": region}
    try:
        _ask(haul, f"create s3://{name}", lambda: client.create_bucket(Bucket=name, **where))
    except (InputError, NotAllowed) as error:
        if not _is_ours(name, region, place, haul):
            raise InputError(
                f"cannot create s3://{name}: {error.message}",
                hint="bucket names are global: choose another with --bucket",
            ) from error
    _ask(
        haul,
        f"block public access to s3://{name}",
        lambda: client.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=ALL_BLOCKED),
    )


def _is_ours(name: str, region: str, place: AwsPlace, haul: Haul) -> bool:
    try:
        return find_s3_bucket(name, place=place, haul=haul).location == region
    except NotAllowed:
        return False


def _ask(haul: Haul, what: str, action: Callable[[], Result]) -> Result:
    def asked() -> Result:
        with s3_errors(what):
            return action()

    return haul.retrier.call(asked)


def _ask_or_none(haul: Haul, what: str, action: Callable[[], Result]) -> Result | None:
    """None for what is not configured, or may not be read."""
    try:
        return _ask(haul, what, action)
    except (NotFound, NotAllowed):
        return None
