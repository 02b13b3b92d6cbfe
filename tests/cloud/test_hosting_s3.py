"""A page on an S3 bucket of moto's server, through boto3."""

from __future__ import annotations

import gzip
import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

pytest.importorskip("boto3", reason='needs the extra: pip install "cxr[aws]"')

import requests
from hosted_page import FILES, make_page

from cxr.cloud.hosting.applying import host_page, remove_page
from cxr.cloud.hosting.files import Headers
from cxr.cloud.hosting.plan import HostPlan, plan_page
from cxr.cloud.hosting.record import RECORD
from cxr.cloud.hosting.removal import plan_removal
from cxr.cloud.hosting.s3_host import STATEMENT, S3Host
from cxr.errors import UsageError, VersionConflict
from cxr.storage.amazon.buckets import ALL_BLOCKED
from cxr.storage.amazon.session import AwsPlace
from cxr.webapp.headers import cache_control, content_type
from s3_server import Answer, Middle, Request, error_answer, moto_origin

PLAIN = Headers("text/plain", "no-cache")
REGION = "eu-central-1"


@pytest.fixture(scope="module")
def origin() -> Iterator[str]:
    with moto_origin() as url:
        yield url


@pytest.fixture
def bucket() -> str:
    return f"page-{uuid.uuid4().hex[:10]}"


@pytest.fixture
def host(origin: str, bucket: str) -> S3Host:
    return S3Host(bucket, place=AwsPlace(endpoint=origin))


@pytest.fixture
def client(origin: str) -> Any:
    import boto3

    return boto3.session.Session().client("s3", endpoint_url=origin)


@pytest.fixture
def page(tmp_path: Path) -> Path:
    return make_page(tmp_path / "page")


def plan(host: S3Host, page: Path, *, public: bool = False) -> HostPlan:
    return plan_page(host, page, "page/", REGION, public=public)


def test_a_page_is_sent_whole_and_blocked_from_the_public(host: S3Host, page: Path, bucket: str, client: Any) -> None:
    assert host_page(plan(host, page)).addresses == ()
    assert {one.name for one in host.objects("")} == {f"page/{name}" for name in (*FILES, "service-worker.js", RECORD)}
    assert client.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"] == ALL_BLOCKED
    assert client.get_bucket_location(Bucket=bucket)["LocationConstraint"] == REGION
    assert plan(host, page).nothing_to_do
    for name, data in FILES.items():
        head = client.get_object(Bucket=bucket, Key=f"page/{name}")
        body = head["Body"].read()
        assert (gzip.decompress(body) if head.get("ContentEncoding") == "gzip" else body) == data
        assert (head["ContentType"], head["CacheControl"]) == (content_type(name), cache_control(name))


def test_making_it_public_shows_the_page_alone_and_removing_undoes_it(
    host: S3Host, page: Path, bucket: str, client: Any
) -> None:
    client.create_bucket(Bucket=bucket)
    client.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=ALL_BLOCKED)
    theirs = {"Sid": "Theirs", "Effect": "Deny", "Principal": "*", "Action": "s3:PutObjectAcl", "Resource": "*"}
    client.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [theirs]}))
    done = host_page(plan(host, page, public=True))
    statements = json.loads(client.get_bucket_policy(Bucket=bucket)["Policy"])["Statement"]
    assert [one["Sid"] for one in statements] == ["Theirs", STATEMENT]
    assert (statements[1]["Action"], statements[1]["Resource"]) == ("s3:GetObject", f"arn:aws:s3:::{bucket}/page/*")
    block = client.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    assert block == {**ALL_BLOCKED, "BlockPublicPolicy": False, "RestrictPublicBuckets": False}
    assert client.get_bucket_website(Bucket=bucket)["IndexDocument"] == {"Suffix": "index.html"}
    answer = requests.get(done.addresses[0].url, timeout=120)
    assert (answer.content, answer.headers["Content-Type"]) == (FILES["index.html"], "text/html; charset=utf-8")
    found = host.look()
    assert found is not None
    assert found.public
    assert not remove_page(plan_removal(host, "page/"))  # the bucket was not made for it
    assert host.objects("") == []
    assert [one["Sid"] for one in json.loads(client.get_bucket_policy(Bucket=bucket)["Policy"])["Statement"]] == [
        "Theirs"
    ]
    assert client.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"] == ALL_BLOCKED
    with pytest.raises(client.exceptions.ClientError, match="NoSuchWebsiteConfiguration"):
        client.get_bucket_website(Bucket=bucket)


def test_a_bucket_that_was_made_for_it_goes_with_it(host: S3Host, page: Path) -> None:
    host_page(plan(host, page, public=True))
    assert remove_page(plan_removal(host, "page/"))
    assert host.look() is None


def test_a_bucket_with_images_is_never_made_public(host: S3Host, page: Path) -> None:
    host_page(plan(host, page))
    host.put("xrays/one.jpeg", b"x", PLAIN, "absent")
    with pytest.raises(UsageError, match=r"xrays/one.jpeg"):
        plan(host, page, public=True)


def statement(**parts: Any) -> dict[str, Any]:
    everything = {"Sid": "Theirs", "Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "*"}
    return {key: value for key, value in {**everything, **parts}.items() if value is not None}


OPEN: dict[str, dict[str, Any]] = {
    "https": statement(Condition={"Bool": {"aws:SecureTransport": "true"}}),
    "anybody-but": statement(Principal=None, NotPrincipal={"AWS": "arn:aws:iam::123456789012:root"}),
    "in-a-list": statement(Principal={"AWS": ["arn:aws:iam::123456789012:root", "*"]}),
}
NETWORK = statement(Condition={"StringEquals": {"aws:SourceVpce": "vpce-1a2b3c4d"}})


def put_policy(client: Any, bucket: str, *statements: dict[str, Any]) -> None:
    document = {"Version": "2012-10-17", "Statement": list(statements)}
    client.put_bucket_policy(Bucket=bucket, Policy=json.dumps(document))


@pytest.mark.parametrize("grant", OPEN.values(), ids=OPEN.keys())
def test_a_bucket_that_is_public_under_conditions_is_public(
    host: S3Host, page: Path, bucket: str, client: Any, grant: dict[str, Any]
) -> None:
    client.create_bucket(Bucket=bucket)
    put_policy(client, bucket, grant)
    with pytest.raises(UsageError, match="is public"):
        plan(host, page)


@pytest.mark.parametrize("grant", OPEN.values(), ids=OPEN.keys())
def test_statements_that_the_block_keeps_asleep_are_not_woken(
    host: S3Host, page: Path, bucket: str, client: Any, grant: dict[str, Any]
) -> None:
    client.create_bucket(Bucket=bucket)
    put_policy(client, bucket, grant)
    client.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=ALL_BLOCKED)
    host_page(plan(host, page))  # private, it may lie there
    with pytest.raises(UsageError, match="statement Theirs of its policy"):
        plan(host, page, public=True)
    # A statement of our name that shows more than a page's is somebody else's.
    put_policy(client, bucket, statement(Sid=STATEMENT, Action=["s3:GetObject", "s3:PutObject"]))
    with pytest.raises(UsageError, match=f"statement {STATEMENT} of its policy"):
        plan(host, page, public=True)


def test_a_statement_that_was_there_before_is_there_afterwards(
    host: S3Host, page: Path, bucket: str, client: Any
) -> None:
    client.create_bucket(Bucket=bucket)
    before = statement(Sid=STATEMENT, Resource=f"arn:aws:s3:::{bucket}/older/*")
    put_policy(client, bucket, before)
    client.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=ALL_BLOCKED)
    host_page(plan(host, page, public=True))
    remove_page(plan_removal(host, "page/"))
    assert json.loads(client.get_bucket_policy(Bucket=bucket)["Policy"])["Statement"] == [before]
    assert client.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"] == ALL_BLOCKED


@pytest.mark.parametrize("meanwhile", ["image", "statement"])
def test_what_changes_while_the_user_is_asked_keeps_it_blocked(
    host: S3Host, page: Path, bucket: str, client: Any, meanwhile: str
) -> None:
    host_page(plan(host, page))
    asked = plan(host, page, public=True)
    if meanwhile == "image":
        host.put("xrays/one.jpeg", b"x", PLAIN, "absent")
    else:
        put_policy(client, bucket, OPEN["https"])
    with pytest.raises(UsageError, match=r"xrays/one\.jpeg|statement Theirs"):
        host_page(asked)
    assert client.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"] == ALL_BLOCKED


@pytest.mark.parametrize(
    ("grant", "said", "public"),
    [(NETWORK, False, False), (OPEN["https"], True, True), (NETWORK, None, True)],
    ids=["network", "https", "may-not-ask"],
)
def test_amazon_is_asked_whether_a_policy_is_public(
    monkeypatch: pytest.MonkeyPatch, grant: dict[str, Any], said: bool | None, public: bool
) -> None:
    def amazon(request: Request) -> Answer:
        """What Amazon says of a bucket with that policy; a policy's status only to who may ask."""
        hosts.add(urlsplit(request.path).hostname)
        asked.append(next(iter(request.query)))
        status = f"<PolicyStatus><IsPublic>{str(said).lower()}</IsPublic></PolicyStatus>".encode()
        answers = {
            "location": Answer(body=f"<LocationConstraint>{REGION}</LocationConstraint>".encode()),
            "publicAccessBlock": error_answer(404, "NoSuchPublicAccessBlockConfiguration"),
            "website": error_answer(404, "NoSuchWebsiteConfiguration"),
            "policy": Answer(body=json.dumps({"Statement": [grant]}).encode()),
            "policyStatus": error_answer(403, "AccessDenied") if said is None else Answer(body=status),
        }
        return answers[asked[-1]]

    asked: list[str] = []
    hosts: set[str | None] = set()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "nobody")
    for name in ("NO_PROXY", "no_proxy", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    # Amazon's own address, without TLS, by a proxy: the client is the real one, and the proxy is Amazon.
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://s3.{REGION}.amazonaws.com")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    middle = Middle(None)
    middle.before = amazon
    monkeypatch.setenv("HTTP_PROXY", middle.url)
    monkeypatch.setenv("http_proxy", middle.url)
    with middle.running():
        found = S3Host("my-page").look()
    assert hosts == {f"s3.{REGION}.amazonaws.com"}
    assert asked == ["location", "publicAccessBlock", "website", "policy", "policyStatus"]
    assert found is not None
    assert found.public == public


def test_what_changed_meanwhile_is_not_replaced(host: S3Host, page: Path) -> None:
    host_page(plan(host, page))
    (page / "index.html").write_bytes(b"new")
    late = plan(host, page)
    version = next(one.version for one in host.objects("page/index.html"))
    host.put("page/index.html", b"meanwhile", PLAIN, version)
    with pytest.raises(VersionConflict):
        host_page(late)


@pytest.mark.parametrize(("region", "dash"), [("us-east-1", "-"), ("eu-central-1", "."), ("eu-west-1", "-")], ids=str)
def test_amazons_addresses(region: str, dash: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "nobody")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.setenv("AWS_DEFAULT_REGION", region)
    host = S3Host("my-page")
    host._region = region
    first, second = host.addresses("page/", "index.html")
    assert first.url == f"https://my-page.s3.{region}.amazonaws.com/page/index.html"
    assert second.url == f"http://my-page.s3-website{dash}{region}.amazonaws.com/page/"


@pytest.mark.slow
def test_the_command_hosts_on_aws(origin: str, page: Path, bucket: str, run_cxr: Callable[..., Any]) -> None:
    words = ("cloud", "host", "--on", "aws", "--region", REGION, "--bucket", bucket, "--yes", "--json")
    public = ("--public", "--yes-public", bucket, str(page))
    done = run_cxr(*words, *public, env={"AWS_ENDPOINT_URL": origin})
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["where"]["on"], said["location"], said["sent"]) == ("aws", REGION, len(FILES) + 1)
    assert requests.get(said["addresses"][0]["url"], timeout=120).content == FILES["index.html"]
    gone = run_cxr(*words, "--remove", env={"AWS_ENDPOINT_URL": origin})
    assert json.loads(gone.stdout)["bucket_deleted"], gone.stderr
