"""An S3 bucket as a place for a page, through boto3 (pointed to Amazon, or to a server that stands for it).

Sources: Amazon S3 User Guide, Hosting a static website; Blocking public access; Website endpoints.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from cxr.cloud.hosting.files import Headers
from cxr.cloud.hosting.host import Address, FoundBucket, StoredObject
from cxr.documents import parse_json
from cxr.errors import Fault, InputError, NotAllowed, NotFound, VersionConflict
from cxr.storage.amazon.buckets import ALL_BLOCKED, FIRST_REGION, region_of
from cxr.storage.amazon.errors import s3_errors
from cxr.storage.amazon.objects import etag_of, precondition
from cxr.storage.amazon.session import AwsPlace
from cxr.storage.amazon.store import s3_client
from cxr.storage.transfer.haul import Haul

STATEMENT = "CxrPublicPage"
#: A policy may show objects; access lists still may not.
POLICY_ALLOWED = {**ALL_BLOCKED, "BlockPublicPolicy": False, "RestrictPublicBuckets": False}
#: Regions whose website endpoints have a dash before the region; all others have a dot.
DASHED = frozenset(
    {
        *("us-east-1", "us-west-1", "us-west-2", "us-gov-west-1", "ap-southeast-1", "ap-southeast-2"),
        *("ap-northeast-1", "eu-west-1", "sa-east-1"),
    }
)
Result = TypeVar("Result")


class S3Host:
    """One bucket."""

    def __init__(
        self, bucket: str, *, place: AwsPlace | None = None, on: str = "aws", haul: Haul | None = None
    ) -> None:
        self._name = bucket
        self._haul = haul or Haul()
        self._client = s3_client(workers=1, place=place or AwsPlace(), limits=self._haul.limits)
        self._on = on
        self._region = FIRST_REGION

    @property
    def url(self) -> str:
        """See Host."""
        return f"s3://{self._name}"

    @property
    def place(self) -> str:
        """See Host."""
        return self._on if self._is_amazon else f"{self._on} ({self._endpoint})"

    @property
    def billed(self) -> bool:
        """See Host."""
        return self._is_amazon

    def identity(self) -> dict[str, str]:
        """See Host."""
        return {"on": self._on, "project": "", "bucket": self._name}

    def look(self) -> FoundBucket | None:
        """See Host."""
        try:
            answer = self._do("look up", lambda: self._client.get_bucket_location(Bucket=self._name))
        except NotFound:
            return None
        self._region = region_of(answer)
        block = self._found(
            lambda: self._client.get_public_access_block(Bucket=self._name)["PublicAccessBlockConfiguration"]
        )
        website = self._found(lambda: self._client.get_bucket_website(Bucket=self._name))
        if website is not None:
            website = {key: value for key, value in website.items() if key != "ResponseMetadata"}
        prevented = bool(block and block["RestrictPublicBuckets"])
        statements = self._policy()["Statement"]
        shown = next((one for one in statements if self._shows_page(one)), None)
        others = tuple(
            f"statement {one.get('Sid') or number} of its policy"
            for number, one in enumerate(statements, 1)
            if _is_public(one) and one is not shown
        )
        before = {"block": block, "website": website, "statement": shown}
        public = self._grants_everybody(statements) and not prevented
        return FoundBucket(self._region, public, prevented, before, others)

    def names(self) -> Iterator[str]:
        """See Host. The policy shows current versions only."""
        with s3_errors(f"list {self.url}"):
            for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self._name):
                yield from (str(found["Key"]) for found in page.get("Contents", ()))

    def objects(self, prefix: str) -> list[StoredObject]:
        """See Host. A listing tells no headers: each object is asked for them."""

        def listed() -> list[str]:
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._name, Prefix=prefix)
            return [str(found["Key"]) for page in pages for found in page.get("Contents", ())]

        return [self._stored(name) for name in self._do("list", listed)]

    def read(self, name: str) -> bytes:
        """See Host."""
        data: bytes = self._do(
            f"read {name} in", lambda: self._client.get_object(Bucket=self._name, Key=name)["Body"].read()
        )
        return data

    def create(self, region: str) -> None:
        """See Host."""
        self._region = region
        where = {} if region == FIRST_REGION else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        try:
            self._do("create", lambda: self._client.create_bucket(Bucket=self._name, **where))
        except InputError as error:
            raise InputError(
                f"cannot create {self.url}: {error.message}",
                hint="bucket names are global: choose another with --bucket",
            ) from error
        self._block(ALL_BLOCKED)

    def drop(self) -> bool:
        """See Host."""
        try:
            self._do("delete", lambda: self._client.delete_bucket(Bucket=self._name))
        except NotFound:
            return True
        except InputError as error:
            if "empty" in error.message.lower():
                return False
            raise
        return True

    def put(self, name: str, data: bytes, headers: Headers, version: str) -> str:
        """See Host."""
        encoding = {"ContentEncoding": headers.content_encoding} if headers.content_encoding else {}

        def send() -> Any:
            return self._client.put_object(
                Bucket=self._name,
                Key=name,
                Body=data,
                ContentType=headers.content_type,
                CacheControl=headers.cache_control,
                **encoding,
                **precondition(version),
            )

        try:
            return etag_of(self._do(f"write {name} to", send))
        except VersionConflict:
            # An attempt whose answer was lost may have been carried out.
            found = next((one for one in self.objects(name) if one.name == name), None)
            if found is None or found.md5 != hashlib.md5(data, usedforsecurity=False).hexdigest():
                raise
            return found.version

    def delete(self, name: str, version: str) -> None:
        """See Host."""
        if all(one.version != version for one in self.objects(name) if one.name == name):
            return
        self._do(f"delete {name} in", lambda: self._client.delete_object(Bucket=self._name, Key=name))

    def publish(self, prefix: str, main_page: str) -> None:
        """See Host. The policy shows what lies below `prefix`, and lists nothing."""
        self._block(POLICY_ALLOWED)
        policy = self._policy()
        ours = {
            "Sid": STATEMENT,
            "Effect": "Allow",
            "Principal": "*",
            "Action": "s3:GetObject",
            "Resource": f"arn:aws:s3:::{self._name}/{prefix}*",
        }
        others = [statement for statement in policy["Statement"] if statement.get("Sid") != STATEMENT]
        self._put_policy({**policy, "Statement": [*others, ours]})
        website = {"IndexDocument": {"Suffix": main_page}}
        self._do(
            "make a website of",
            lambda: self._client.put_bucket_website(Bucket=self._name, WebsiteConfiguration=website),
        )

    def withdraw(self, prefix: str, before: Mapping[str, Any]) -> None:
        """See Host."""
        del prefix
        policy, shown = self._policy(), before.get("statement")
        statements = [one for one in policy["Statement"] if one.get("Sid") != STATEMENT]
        self._put_policy({**policy, "Statement": [*statements, *([shown] if shown else [])]})
        website = before["website"]
        if website is None:
            self._do("take the website from", lambda: self._client.delete_bucket_website(Bucket=self._name))
        else:
            self._do(
                "change the website of",
                lambda: self._client.put_bucket_website(Bucket=self._name, WebsiteConfiguration=website),
            )
        if before["block"] is not None:
            self._block(before["block"])
        else:
            self._do("unblock", lambda: self._client.delete_public_access_block(Bucket=self._name))

    def addresses(self, prefix: str, main_page: str) -> tuple[Address, ...]:
        """See Host."""
        if not self._is_amazon:
            return (Address(f"{self._endpoint}/{self._name}/{prefix}{main_page}", "at the server that boto3 is told"),)
        suffix = "cn" if self._region.startswith("cn-") else ""
        domain = "amazonaws.com" + (f".{suffix}" if suffix else "")
        plain = f"{self._name}.s3-website{'-' if self._region in DASHED else '.'}{self._region}.{domain}"
        secure = (
            f"https://s3.{self._region}.{domain}/{self._name}/{prefix}{main_page}"
            if "." in self._name
            else f"https://{self._name}.s3.{self._region}.{domain}/{prefix}{main_page}"
        )
        return (
            Address(secure, "https: works offline and with the camera"),
            Address(f"http://{plain}/{prefix}", "the website endpoint: without https neither offline nor camera"),
        )

    def fetch_command(self, prefix: str, folder: str) -> str:
        """See Host. Empty: `aws s3 cp` would leave the files packed."""
        return ""

    @property
    def _endpoint(self) -> str:
        return str(self._client.meta.endpoint_url).rstrip("/")

    @property
    def _is_amazon(self) -> bool:
        return ".amazonaws.com" in self._endpoint

    def _stored(self, name: str) -> StoredObject:
        head = self._do(f"look at {name} in", lambda: self._client.head_object(Bucket=self._name, Key=name))
        etag = etag_of(head)
        headers = Headers(head.get("ContentType", ""), head.get("CacheControl", ""), head.get("ContentEncoding", ""))
        return StoredObject(name, etag, etag, headers)

    def _block(self, wanted: Mapping[str, bool]) -> None:
        self._do(
            "set the public access block of",
            lambda: self._client.put_public_access_block(
                Bucket=self._name, PublicAccessBlockConfiguration=dict(wanted)
            ),
        )

    def _policy(self) -> dict[str, Any]:
        found = self._found(lambda: self._client.get_bucket_policy(Bucket=self._name)["Policy"])
        if found is None:
            return {"Version": "2012-10-17", "Statement": []}
        try:
            policy: dict[str, Any] = parse_json(found)
            statements = policy["Statement"]
        except (ValueError, KeyError, TypeError) as error:
            raise Fault(f"the access policy of {self.url} cannot be read: {error}") from error
        return {**policy, "Statement": statements if isinstance(statements, list) else [statements]}

    def _grants_everybody(self, statements: Sequence[Mapping[str, Any]]) -> bool:
        """Whether a policy shows something to everybody. Which conditions narrow it enough is Amazon's to say (source:
        Blocking public access to your Amazon S3 storage, The meaning of "public"); elsewhere, and where Amazon may not
        be asked, none does."""
        strictly = any(_is_public(statement) for statement in statements)
        if not (statements and self._is_amazon):
            return strictly
        try:
            status = self._found(lambda: self._client.get_bucket_policy_status(Bucket=self._name)["PolicyStatus"])
        except NotAllowed:
            return strictly
        return bool(status["IsPublic"]) if status else strictly

    def _shows_page(self, statement: Mapping[str, Any]) -> bool:
        """Whether a statement is what `publish` makes, for this prefix or another."""
        resource = statement.get("Resource")
        inside = isinstance(resource, str) and resource.startswith(f"arn:aws:s3:::{self._name}/")
        known = {"Sid", "Effect", "Principal", "Action", "Resource"}
        action = _as_list(statement.get("Action"))
        named = statement.get("Sid") == STATEMENT and action == ["s3:GetObject"] and set(statement) == known
        return named and inside and _is_public(statement)

    def _put_policy(self, policy: Mapping[str, Any]) -> None:
        if not policy["Statement"]:
            self._do("take the access policy from", lambda: self._client.delete_bucket_policy(Bucket=self._name))
            return
        text = json.dumps(policy)
        self._do("change the access policy of", lambda: self._client.put_bucket_policy(Bucket=self._name, Policy=text))

    def _found(self, action: Callable[[], Result]) -> Result | None:
        """What the bucket has of an optional thing; None when it has none."""
        try:
            return self._do("look up the settings of", action)
        except NotFound:
            return None

    def _do(self, what: str, action: Callable[[], Result]) -> Result:
        def attempt() -> Result:
            with s3_errors(f"{what} {self.url}"):
                return action()

        return self._haul.retrier.call(attempt)


def _is_public(statement: Mapping[str, Any]) -> bool:
    """Whether a statement may be for everybody, whatever its conditions; NotPrincipal is everybody but a few."""
    principal = statement.get("Principal")
    named = principal.values() if isinstance(principal, dict) else (principal,)
    everybody = "NotPrincipal" in statement or any("*" in _as_list(one) for one in named)
    return statement.get("Effect") == "Allow" and everybody


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
