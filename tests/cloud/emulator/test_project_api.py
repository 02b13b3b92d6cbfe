"""The project's small APIs: what is the matter with it, policies, quotas, builds, tokens; strict, and kept."""

from __future__ import annotations

import base64
import gzip
import io
import json
import tarfile
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from emulator_server import Server, Start, wait_until

QUOTA = "CustomModelTrainingL4GPUsPerProjectPerRegion"
QUOTAS = "projects/p/locations/global/services/aiplatform.googleapis.com/quotaInfos"
BUILDS = "projects/my-project/locations/us-central1/builds"
IMAGE = "us-central1-docker.pkg.dev/my-project/repo/trainer:1"


@pytest.fixture
def server(server: Server) -> Iterator[Server]:
    yield server
    assert requests.delete(f"{server.url}/_emulator/project", timeout=60).status_code == 200


def put(server: Server, **document: Any) -> requests.Response:
    return requests.put(f"{server.url}/_emulator/project", json=document, timeout=60)


def refusal(answer: requests.Response) -> tuple[int, str, dict[str, Any]]:
    """Status, reason and metadata of a google.rpc error."""
    error = answer.json()["error"]
    details = error.get("details", [{}])[0]
    return answer.status_code, details.get("reason", error["status"]), details.get("metadata", {})


@pytest.mark.parametrize(
    "document",
    [
        {"colour": "red"},
        {"state": "GONE"},
        {"disabled_services": "aiplatform.googleapis.com"},
        {"quotas": {QUOTA: {"us-central1": "many"}}},
        {"quotas": {QUOTA: {"us-central1": -2}}},
        {"agents": ["gcp-sa-pubsub"]},
        {"signed_out": 1},
        {"build_seconds": -1},
    ],
    ids=str,
)
def test_a_document_that_cannot_be_meant_is_refused_and_changes_nothing(
    server: Server, document: dict[str, Any]
) -> None:
    before = requests.get(f"{server.url}/_emulator/project", timeout=60).json()
    assert put(server, **document).status_code == 400
    assert requests.get(f"{server.url}/_emulator/project", timeout=60).json() == before


def test_what_is_the_matter_outlives_the_server(start: Start) -> None:
    first = start()
    assert put(first, disabled_services=["aiplatform.googleapis.com"]).status_code == 200
    bucket = first.bucket("kept-policy")
    policy = {"bindings": [{"role": "roles/storage.admin", "members": ["user:a@example.com"]}]}
    assert requests.put(f"{first.url}/storage/v1/b/{bucket}/iam", json=policy, timeout=60).status_code == 200
    first.kill()
    again = start(first.state)
    assert refusal(again.call("GET", f"{again.parent}/datasets"))[1] == "SERVICE_DISABLED"
    kept = requests.get(f"{again.url}/storage/v1/b/{bucket}/iam", timeout=60).json()
    assert kept["bindings"] == policy["bindings"]


def test_a_project_has_a_number_a_state_and_its_service_agents(server: Server) -> None:
    project = requests.get(f"{server.url}/v3/projects/my-project", timeout=60).json()
    number = project["name"].removeprefix("projects/")
    assert number.isdigit()
    assert project["state"] == "ACTIVE"
    policy = requests.post(f"{server.url}/v3/projects/my-project:getIamPolicy", json={}, timeout=60).json()
    members = {member for binding in policy["bindings"] for member in binding["members"]}
    assert f"serviceAccount:service-{number}@gcp-sa-aiplatform.iam.gserviceaccount.com" in members
    put(server, agents=[], state="DELETE_REQUESTED")
    policy = requests.post(f"{server.url}/v3/projects/my-project:getIamPolicy", json={}, timeout=60).json()
    assert "gcp-sa-aiplatform" not in json.dumps(policy)
    assert requests.get(f"{server.url}/v3/projects/my-project", timeout=60).json()["state"] == "DELETE_REQUESTED"


def test_project_requests_are_strict(server: Server) -> None:
    assert requests.get(f"{server.url}/v3/projects/No_Id", timeout=60).status_code == 400
    wrong = {"options": {"colour": "red"}}
    answer = requests.post(f"{server.url}/v3/projects/my-project:getIamPolicy", json=wrong, timeout=60)
    assert answer.status_code == 400
    assert requests.post(f"{server.url}/v3/projects/my-project:move", json={}, timeout=60).status_code == 501
    assert server.call("POST", "projects/p/services/aiplatform.googleapis.com:disable", {}).status_code == 501


def test_service_usage_names_what_is_disabled(server: Server) -> None:
    put(server, disabled_services=["aiplatform.googleapis.com"])
    names = [f"projects/p/services/{name}.googleapis.com" for name in ("aiplatform", "storage")]
    found = server.ok("GET", "projects/p/services:batchGet?" + "&".join(f"names={name}" for name in names))
    assert [one["state"] for one in found["services"]] == ["DISABLED", "ENABLED"]
    listed = server.ok("GET", "projects/p/services?filter=state:DISABLED")
    assert [one["config"]["name"] for one in listed["services"]] == ["aiplatform.googleapis.com"]
    many = "&".join(f"names={names[0]}" for _ in range(31))
    assert server.call("GET", f"projects/p/services:batchGet?{many}").status_code == 400
    assert server.call("GET", "projects/p/services:batchGet?names=projects/q/services/x").status_code == 400
    assert server.call("GET", "projects/p/services/nothing.googleapis.com").status_code == 403


def test_pages_of_services_and_quotas_hold_everything_once(server: Server) -> None:
    for path, key, name in (("projects/p/services", "services", "name"), (QUOTAS, "quotaInfos", "quotaId")):
        whole = [one[name] for one in server.ok("GET", f"{path}?pageSize=200")[key]]
        paged, token = [], ""
        while True:
            page = server.ok("GET", f"{path}?pageSize=3&pageToken={token}")
            paged += [one[name] for one in page[key]]
            if not (token := page.get("nextPageToken", "")):
                break
        assert paged == whole
        assert server.call("GET", f"{path}?pageSize=x").status_code == 400


def test_a_quota_is_by_region(server: Server) -> None:
    put(server, quotas={QUOTA: {"europe-west4": 0}})
    info = server.ok("GET", f"{QUOTAS}/{QUOTA}")
    limits = {one["dimensions"]["region"]: one["details"]["value"] for one in info["dimensionsInfos"]}
    assert limits["europe-west4"] == "0"
    assert int(limits["us-central1"]) > 0
    assert info["metric"] == "aiplatform.googleapis.com/custom_model_training_nvidia_l4_gpus"
    assert server.call("GET", f"{QUOTAS}/NoSuchQuota").status_code == 404
    assert server.call("GET", f"{QUOTAS.replace('global', 'us-central1')}/{QUOTA}").status_code == 400


def test_refusals_name_the_permission_the_api_and_the_sign_in(server: Server) -> None:
    put(server, denied_permissions=["aiplatform.customJobs.create"], disabled_services=["logging.googleapis.com"])
    status, reason, metadata = refusal(server.call("POST", f"{server.parent}/customJobs", {}))
    assert (status, reason) == (403, "IAM_PERMISSION_DENIED")
    assert metadata["permission"] == "aiplatform.customJobs.create"
    answer = requests.post(f"{server.url}/v2/entries:list", json={}, timeout=60)
    assert refusal(answer)[:2] == (403, "SERVICE_DISABLED")
    assert server.call("GET", f"{server.parent}/customJobs").status_code == 200
    put(server, missing_projects=["p"])
    assert server.call("GET", f"{server.parent}/customJobs").status_code == 403
    put(server, refused_tokens=["ya29.stale"])
    path = f"{server.url}/storage/v1/b?project=p"
    assert requests.get(path, headers={"Authorization": "Bearer ya29.fresh"}, timeout=60).status_code == 200
    stale = requests.get(path, headers={"Authorization": "Bearer ya29.stale"}, timeout=60)
    assert (stale.status_code, stale.json()["error"]["errors"][0]["reason"]) == (401, "authError")
    put(server, signed_out=True)
    assert refusal(server.call("GET", f"{server.parent}/datasets"))[0] == 401
    assert requests.get(f"{server.url}/_emulator/status", timeout=60).status_code == 200


def test_a_buckets_policy_is_conditional_and_never_public_where_that_is_prevented(server: Server) -> None:
    name = f"policy-{uuid.uuid4().hex[:8]}"
    body = {"name": name, "location": "us-central1", "iamConfiguration": {"publicAccessPrevention": "enforced"}}
    assert requests.post(f"{server.url}/storage/v1/b?project=p", json=body, timeout=60).status_code == 200
    url = f"{server.url}/storage/v1/b/{name}/iam"

    def change(role: str, member: str, **more: Any) -> int:
        policy = {"bindings": [{"role": role, "members": [member]}], **more}
        return requests.put(url, json=policy, timeout=60).status_code

    etag = requests.get(url, timeout=60).json()["etag"]
    assert change("roles/storage.objectViewer", "user:a@example.com", etag=etag) == 200
    assert change("roles/storage.objectViewer", "user:b@example.com", etag=etag) == 412
    assert change("roles/storage.objectViewer", "allUsers") == 412
    assert change("storage.objectViewer", "user:b@example.com") == 400
    assert change("roles/storage.objectViewer", "b@example.com") == 400
    assert change("roles/storage.objectViewer", "user:b@example.com", colour="red") == 400
    assert requests.get(url, timeout=60).json()["bindings"][0]["members"] == ["user:a@example.com"]
    asked = requests.get(f"{url}/testPermissions?permissions=storage.objects.get", timeout=60).json()
    assert asked["permissions"] == ["storage.objects.get"]
    assert requests.get(f"{server.url}/storage/v1/b/no-such-bucket/iam", timeout=60).status_code == 404
    # A bucket of the same name made anew has none of it.
    assert requests.delete(f"{server.url}/storage/v1/b/{name}", timeout=60).status_code == 204
    assert requests.post(f"{server.url}/storage/v1/b?project=p", json=body, timeout=60).status_code == 200
    assert "a@example.com" not in requests.get(url, timeout=60).text


def context_of(server: Server, **files: str) -> dict[str, str]:
    """A build's source in the bucket."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    bucket, name = server.bucket("build-sources"), f"{uuid.uuid4().hex}.tar.gz"
    server.put(bucket, name, gzip.compress(stream.getvalue()))
    return {"bucket": bucket, "object": name}


def build_of(source: dict[str, str], **changes: Any) -> dict[str, Any]:
    step = {"name": "gcr.io/cloud-builders/docker", "args": ["build", "--tag", IMAGE, "."]}
    return {"source": {"storageSource": source}, "steps": [step], "images": [IMAGE], "tags": ["t-1"], **changes}


def ended(server: Server, build: dict[str, Any]) -> dict[str, Any]:
    operation = server.ok("POST", BUILDS, build)
    name = operation["metadata"]["build"]["name"]
    wait_until(lambda: "finishTime" in server.ok("GET", name))
    done = server.ok("GET", operation["name"])
    assert done["done"] is True
    assert ("response" in done) == (done["metadata"]["build"]["status"] == "SUCCESS")
    return dict(done["metadata"]["build"])


def test_a_build_ends_with_a_digest_of_what_is_in_it_and_says_that_it_is_simulated(server: Server) -> None:
    put(server, build_seconds=0)
    files = {"Dockerfile": "FROM python:3.11\nCOPY a.whl /opt/\n", "a.whl": "wheel"}
    first = ended(server, build_of(context_of(server, **files)))
    assert first["status"] == "SUCCESS"
    assert "imulated" in first["statusDetail"]
    again = ended(server, build_of(context_of(server, **files)))
    other = ended(server, build_of(context_of(server, **{**files, "a.whl": "other"})))
    digests = [one["results"]["images"][0]["digest"] for one in (first, again, other)]
    assert digests[0].startswith("sha256:")
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize(
    ("files", "changes", "kind", "words"),
    [
        ({"other": ""}, {}, "USER_BUILD_STEP", "failed to read dockerfile"),
        ({"Dockerfile": "FRON x\n"}, {}, "USER_BUILD_STEP", "unknown instruction: FRON"),
        ({"Dockerfile": "RUN x\n"}, {}, "USER_BUILD_STEP", "must begin with FROM"),
        ({"Dockerfile": "FROM x\nCOPY a b /\n"}, {}, "USER_BUILD_STEP", "a: not found"),
        ({"Dockerfile": "FROM x\n"}, {"images": [IMAGE + "-b"]}, "PUSH_IMAGE_NOT_FOUND", "does not exist locally"),
        (None, {}, "FETCH_SOURCE_FAILED", "no such object"),
    ],
    ids=["no-dockerfile", "instruction", "no-from", "copy", "not-built", "no-source"],
)
def test_a_build_fails_for_what_is_wrong_with_it(
    server: Server, files: dict[str, str] | None, changes: dict[str, Any], kind: str, words: str
) -> None:
    put(server, build_seconds=0)
    source = {"bucket": "build-sources", "object": "gone"} if files is None else context_of(server, **files)
    build = ended(server, build_of(source, **changes))
    assert (build["status"], build["failureInfo"]["type"]) == ("FAILURE", kind)
    assert words in build["failureInfo"]["detail"]


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"steps": []}, 400),
        ({"colour": "red"}, 400),
        ({"images": ["gcr.io/p/x"]}, 400),
        ({"tags": ["no tag"]}, 400),
        ({"timeout": "90000s"}, 400),
        ({"options": {"machineType": "HUGE"}}, 400),
        ({"steps": [{"name": "ubuntu", "args": ["ls"]}]}, 501),
    ],
    ids=["steps", "field", "image", "tag", "timeout", "machine", "builder"],
)
def test_a_bad_build_is_refused(server: Server, changes: dict[str, Any], status: int) -> None:
    answer = server.call("POST", BUILDS, build_of({"bucket": "b", "object": "o"}, **changes))
    assert answer.status_code == status, answer.text


def test_builds_are_found_by_tag_and_cancelled_once(server: Server) -> None:
    put(server, build_seconds=3600)
    tag = f"t-{uuid.uuid4().hex[:8]}"
    build = build_of(context_of(server, Dockerfile="FROM x\n"), tags=[tag])
    name = server.ok("POST", BUILDS, build)["metadata"]["build"]["name"]
    assert [one["name"] for one in server.ok("GET", f'{BUILDS}?filter=tags="{tag}"')["builds"]] == [name]
    assert server.ok("GET", f'{BUILDS}?filter=tags="{tag}" AND status="SUCCESS"') == {}
    assert server.call("GET", f"{BUILDS}?filter=colour=red").status_code == 400
    assert server.ok("POST", f"{name}:cancel", {})["status"] == "CANCELLED"
    assert server.call("POST", f"{name}:cancel", {}).status_code == 400
    assert server.call("GET", f"{BUILDS}/no-such-build").status_code == 404


def assertion(**claims: Any) -> str:
    def part(value: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    return f"{part({'alg': 'RS256'})}.{part(claims)}.signature"


def test_the_token_endpoint_reads_the_claim(server: Server) -> None:
    url, now = f"{server.url}/token", time.time()
    good = {"iss": "sa@x", "scope": "s", "aud": url, "iat": now, "exp": now + 3600}

    def ask(**claims: Any) -> requests.Response:
        form = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": assertion(**claims)}
        return requests.post(url, data=form, timeout=60)

    assert ask(**good).json()["token_type"] == "Bearer"
    for wrong in ({"aud": "https://elsewhere"}, {"exp": now - 1}, {"iss": ""}, {"exp": now + 7200}):
        answer = ask(**{**good, **wrong})
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    put(server, refused_accounts=["sa@x"])
    assert ask(**good).json()["error"] == "invalid_grant"
    assert requests.post(url, data={"grant_type": "password"}, timeout=60).json()["error"] == "unsupported_grant_type"
