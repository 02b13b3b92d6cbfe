"""The checks before a job, through the real SDKs against an emulator: the happy way, and each finding provoked."""

from __future__ import annotations

import socket
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

pytest.importorskip("google.cloud.service_usage_v1", reason='needs the extra: pip install "cxr[gcp]"')

import numpy as np
import requests
from PIL import Image

from cxr.cloud.connection import Connection, connect
from cxr.cloud.emulator.process import change_project, ensure_running, stop
from cxr.cloud.hardware import Hardware
from cxr.cloud.preflight import Finding, Level, Purpose, Subject, preflight, refuse_on_errors, subject_of
from cxr.cloud.provider import AutoMLWishes, HardwareWishes
from cxr.cloud.trainer.job import CustomOptions
from cxr.cloud.uploading import destination_of, plan_manifest_upload, send_manifest
from cxr.cloud.vertex.automl import AutoMLOptions, plan_automl
from cxr.cloud.vertex.custom import plan_custom
from cxr.errors import CheckFailed, NotAllowed, Unreachable
from cxr.manifests.manifest import Manifest
from cxr.manifests.manifest_file import write_manifest
from cxr.manifests.scan.folder import scan
from cxr.settings import Settings

L4 = "CustomModelTrainingL4GPUsPerProjectPerRegion"
SPOT_L4 = "CustomModelTrainingPreemptibleL4GPUsPerProjectPerRegion"


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """Sixty small pictures in each split: enough that nothing is to be remarked."""
    folder, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(3)
    for split in ("train", "val", "test"):
        for label in ("NORMAL", "PNEUMONIA"):
            (folder / "images" / split / label).mkdir(parents=True)
            for number in range(30):
                picture = Image.fromarray(rng.integers(0, 255, (16, 16), dtype=np.uint8))
                picture.save(folder / "images" / split / label / f"{split}-{label}-{number}.png")
    return write_manifest(scan(folder / "images"), folder / "manifest.csv")


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    settings = Settings(state_dir=tmp_path_factory.mktemp("preflight") / ".cxr")
    ensure_running(settings.emulator_dir, idle_exit_seconds=300)
    yield settings
    stop(settings.emulator_dir)


@pytest.fixture(scope="module")
def full(work: Settings, manifest: Manifest) -> Connection:
    """A bucket with the manifest's images."""
    connection = connect(replace(work, bucket=f"full-{uuid.uuid4().hex[:10]}"))
    with TemporaryDirectory() as folder:
        plan = plan_manifest_upload(destination_of(connection), manifest, Path(folder) / "plan.jsonl")
        send_manifest(plan).require_complete("sent")
    return connection


@pytest.fixture
def uploaded(full: Connection) -> Iterator[Connection]:
    yield full
    matter(full)


def matter(connection: Connection, **document: Any) -> None:
    """What is the matter with the emulator's projects from now on."""
    assert connection.endpoint
    change_project(connection.endpoint, document)


def found(connection: Connection, subject: Subject, **options: Any) -> dict[str, list[Finding]]:
    by_check: dict[str, list[Finding]] = {}
    for finding in preflight(connection, subject, **options):
        by_check.setdefault(finding.check, []).append(finding)
    return by_check


def levels(findings: dict[str, list[Finding]]) -> set[Level]:
    return {finding.level for every in findings.values() for finding in every}


@pytest.mark.parametrize("purpose", [Purpose.ANY, Purpose.AUTOML, Purpose.CUSTOM, Purpose.TUNE, Purpose.IMAGE])
def test_where_everything_is_there_and_allowed_everything_is_ok(
    uploaded: Connection, manifest: Manifest, purpose: Purpose
) -> None:
    findings = found(uploaded, Subject(purpose, manifest, hardware=HardwareWishes(spot=True, replicas=2)))
    assert levels(findings) == {Level.OK}, findings
    refuse_on_errors([one for every in findings.values() for one in every])
    assert ("quota" in findings) == (purpose in {Purpose.CUSTOM, Purpose.TUNE})
    assert len(findings.get("agents", [])) == {"custom": 2, "tune": 2, "image": 0}.get(purpose, 1)


def test_nothing_stops_the_others_and_what_cannot_be_looked_at_is_said_to_be_skipped(
    uploaded: Connection, manifest: Manifest
) -> None:
    nowhere = replace(uploaded, bucket=f"none-{uuid.uuid4().hex[:10]}")
    matter(uploaded, disabled_services=["aiplatform.googleapis.com"])
    findings = found(nowhere, Subject(Purpose.CUSTOM, manifest, hardware=HardwareWishes("abacus-1")))
    by_level = {name: every[0].level for name, every in findings.items()}
    assert by_level["apis"] is by_level["bucket"] is by_level["machine"] is Level.ERROR
    assert {name for name, level in by_level.items() if level is Level.SKIPPED} == {
        "bucket-private",
        "agents",
        "images",
        "price",
        "quota",
    }
    assert by_level["credentials"] is by_level["project"] is by_level["data"] is Level.OK
    assert "cxr cloud upload" in findings["bucket"][0].next
    every = [one for some in findings.values() for one in some]
    with pytest.raises(CheckFailed, match="and 2 more"):
        refuse_on_errors(every)


def test_an_api_that_is_off_comes_with_the_line_that_enables_it(uploaded: Connection) -> None:
    matter(uploaded, disabled_services=["aiplatform.googleapis.com", "logging.googleapis.com"])
    apis = found(uploaded, Subject(Purpose.CUSTOM))["apis"]
    assert [one.level for one in apis] == [Level.ERROR, Level.WARNING]
    assert apis[0].next == "gcloud services enable aiplatform.googleapis.com --project cxr-local"
    matter(uploaded, disabled_services=["cloudbuild.googleapis.com"])
    (build,) = found(uploaded, Subject(Purpose.IMAGE))["apis"]
    assert (build.level, "cloudbuild" in build.cause) == (Level.ERROR, True)


def test_a_project_that_is_not_there_is_a_question_of_permission(uploaded: Connection) -> None:
    matter(uploaded, missing_projects=["cxr-local"])
    findings = preflight(uploaded, Subject(Purpose.AUTOML))
    (project,) = [one for one in findings if one.check == "project"]
    assert (project.level, project.denied) == (Level.ERROR, True)
    with pytest.raises(NotAllowed, match="no project cxr-local"):
        refuse_on_errors(findings)


def test_a_project_that_is_being_deleted_is_told(uploaded: Connection) -> None:
    matter(uploaded, state="DELETE_REQUESTED")
    (project,) = found(uploaded, Subject(Purpose.ANY))["project"]
    assert (project.level, "DELETE_REQUESTED" in project.cause) == (Level.ERROR, True)
    assert project.next == "gcloud projects undelete cxr-local"


def test_a_number_comes_from_service_usage_where_the_project_cannot_be_read(uploaded: Connection) -> None:
    matter(uploaded, denied_permissions=["resourcemanager.projects.get"])
    findings = found(uploaded, Subject(Purpose.AUTOML))
    (project,) = findings["project"]
    assert project.level is Level.WARNING
    assert "permission resourcemanager.projects.get is missing" in project.cause
    assert findings["agents"][0].level is Level.OK


@pytest.mark.parametrize(
    ("permission", "check"),
    [
        ("serviceusage.services.get", "apis"),
        ("cloudquotas.quotas.get", "quota"),
    ],
)
def test_a_lookup_that_is_refused_is_a_finding_and_no_crash(
    uploaded: Connection, manifest: Manifest, permission: str, check: str
) -> None:
    matter(uploaded, denied_permissions=[permission])
    findings = found(uploaded, Subject(Purpose.CUSTOM, manifest))
    (finding,) = findings[check]
    assert (finding.level, finding.denied) == (Level.WARNING, True)
    assert f"cannot be checked: permission {permission} is missing" in finding.cause
    assert levels(findings) == {Level.OK, Level.WARNING}


def test_a_quota_api_that_is_off_is_a_warning_with_its_line(uploaded: Connection) -> None:
    matter(uploaded, disabled_services=["cloudquotas.googleapis.com"])
    (finding,) = found(uploaded, Subject(Purpose.CUSTOM))["quota"]
    assert finding.level is Level.WARNING
    assert finding.next == "gcloud services enable cloudquotas.googleapis.com --project cxr-local"


def test_being_signed_out_is_one_error_of_permission(uploaded: Connection) -> None:
    matter(uploaded, signed_out=True)
    findings = preflight(uploaded, Subject(Purpose.AUTOML))
    errors = [one for one in findings if one.level is Level.ERROR]
    assert all(one.denied and "not signed in" in one.cause for one in errors), errors
    with pytest.raises(NotAllowed) as raised:
        refuse_on_errors(findings)
    assert "gcloud auth application-default login" in str(raised.value.hint)


def test_a_service_that_does_not_answer_is_no_verdict(uploaded: Connection) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        gone = replace(uploaded, endpoint=f"http://127.0.0.1:{free.getsockname()[1]}")
        findings = preflight(gone, Subject(Purpose.UPLOAD))  # while nobody else can get that port
    assert [(one.check, one.level, one.unreachable) for one in findings][1:] == [("bucket", Level.ERROR, True)]
    with pytest.raises(Unreachable):
        refuse_on_errors(findings)


@pytest.mark.parametrize(("location", "words"), [("EUROPE-WEST4", "in europe-west4"), ("US", "is in us")])
def test_a_bucket_elsewhere_is_refused(uploaded: Connection, location: str, words: str) -> None:
    name = made_bucket(uploaded, location=location)
    findings = found(replace(uploaded, bucket=name), Subject(Purpose.AUTOML))
    assert (findings["bucket"][0].level, words in findings["bucket"][0].cause) == (Level.ERROR, True)
    assert findings["agents"][0].level is Level.SKIPPED
    # An image is built from a bucket anywhere.
    assert found(replace(uploaded, bucket=name), Subject(Purpose.IMAGE))["bucket"][0].level is Level.OK


def test_a_bucket_that_may_become_public_is_warned_of(uploaded: Connection) -> None:
    name = made_bucket(uploaded)
    findings = found(replace(uploaded, bucket=name), Subject(Purpose.ANY))["bucket-private"]
    assert [one.level for one in findings] == [Level.WARNING, Level.WARNING]
    assert "--public-access-prevention" in findings[0].next
    assert "--uniform-bucket-level-access" in findings[1].next


def test_agents_without_a_role_in_the_project_need_one_on_the_bucket(uploaded: Connection) -> None:
    matter(uploaded, agents=[])
    importer, container = found(uploaded, Subject(Purpose.CUSTOM))["agents"]
    assert importer.level is container.level is Level.WARNING
    member = importer.next.partition("--member=")[2].partition(" ")[0]
    assert importer.next.endswith("--role=roles/storage.objectViewer")
    assert container.next.endswith("--role=roles/storage.objectAdmin")
    grant(uploaded, "roles/storage.objectViewer", member, container.next.partition("--member=")[2].partition(" ")[0])
    importer, container = found(uploaded, Subject(Purpose.CUSTOM))["agents"]
    assert importer.level is Level.OK
    assert container.level is Level.WARNING  # it has to write
    grant(uploaded)


def test_what_a_condition_or_an_unknown_role_permits_is_not_guessed(uploaded: Connection) -> None:
    matter(uploaded, agents=[])
    member = found(uploaded, Subject(Purpose.AUTOML))["agents"][0].next.partition("--member=")[2].split()[0]
    grant(uploaded, "projects/cxr-local/roles/reader", member)
    (agent,) = found(uploaded, Subject(Purpose.AUTOML))["agents"]
    assert (agent.level, "projects/cxr-local/roles/reader holds is not known" in agent.cause) == (Level.WARNING, True)
    grant(uploaded)


def test_policies_that_cannot_be_read_leave_a_warning(uploaded: Connection) -> None:
    matter(uploaded, denied_permissions=["storage.buckets.getIamPolicy", "resourcemanager.projects.getIamPolicy"])
    (agent,) = found(uploaded, Subject(Purpose.AUTOML))["agents"]
    assert agent.level is Level.WARNING
    assert "storage.buckets.getIamPolicy is missing; permission resourcemanager.projects.getIamPolicy" in agent.cause


def test_a_role_in_the_project_does_not_reach_into_anothers_bucket(uploaded: Connection) -> None:
    name = made_bucket(uploaded, project="somebody-else")
    (agent,) = found(replace(uploaded, bucket=name), Subject(Purpose.AUTOML))["agents"]
    assert (agent.level, "bucket of another project" in agent.cause) == (Level.ERROR, True)


def test_an_image_that_is_missing_or_other_than_scanned_is_named(uploaded: Connection, manifest: Manifest) -> None:
    path = sorted(manifest.frame["path"])[0]
    store = uploaded.store("images")
    data = store.get_bytes(path)
    store.replace_bytes(path, b"another")
    (images,) = found(uploaded, Subject(Purpose.AUTOML, manifest, manifest_path="m.csv"))["images"]
    store.replace_bytes(path, data)
    assert images.level is Level.ERROR
    assert f"1 of {len(manifest.frame):,} images" in images.cause
    assert path in images.cause
    assert images.next == f"cxr cloud upload --manifest m.csv --bucket {uploaded.bucket}"


def test_the_listing_of_a_check_is_one(uploaded: Connection, manifest: Manifest) -> None:
    requests.delete(f"{uploaded.endpoint}/_emulator/requests", timeout=120)
    preflight(uploaded, Subject(Purpose.CUSTOM, manifest))
    counts = requests.get(f"{uploaded.endpoint}/_emulator/requests", timeout=120).json()
    assert counts["storage.objects.list"] == 1
    assert counts["serviceusage.services.batchGet"] == counts["cloudquotas.quotaInfos.get"] == 1
    assert "storage.objects.get" not in counts
    preflight(uploaded, Subject(Purpose.UPLOAD), quick=True)
    after = requests.get(f"{uploaded.endpoint}/_emulator/requests", timeout=120).json()
    assert {name: after[name] - counts.get(name, 0) for name in after if name[:3] not in {"byt", "con"}} == {
        **dict.fromkeys(counts.keys() - {"bytes_received", "bytes_sent", "connections"}, 0),
        "storage.buckets.get": 1,
    }


def changed(manifest: Manifest, **columns: Any) -> Manifest:
    return replace(manifest, frame=manifest.frame.assign(**columns))


def test_the_services_rules_are_errors_for_automl_and_none_of_the_trainers(
    uploaded: Connection, manifest: Manifest
) -> None:
    large = changed(manifest, size=31 * 1024 * 1024)
    data = found(uploaded, Subject(Purpose.AUTOML, large))["data"]
    assert [(one.level, "larger than Vertex AI's 30 MB" in one.cause) for one in data] == [(Level.ERROR, True)]
    assert data[0].resource.count(".") >= 1  # examples are named
    assert levels({"data": found(uploaded, Subject(Purpose.CUSTOM, large))["data"]}) == {Level.OK}


@pytest.mark.parametrize(
    ("split", "purpose", "level"),
    [
        ("test", Purpose.AUTOML, Level.ERROR),
        ("validation", Purpose.AUTOML, Level.ERROR),
        ("validation", Purpose.CUSTOM, Level.ERROR),
        ("test", Purpose.CUSTOM, Level.WARNING),
    ],
)
def test_an_empty_split_is_found(
    uploaded: Connection, manifest: Manifest, split: str, purpose: Purpose, level: Level
) -> None:
    empty = changed(manifest, split=manifest.frame["split"].replace(split, ""))
    data = found(uploaded, Subject(purpose, empty))["data"]
    assert level in {one.level for one in data if f"no {split} split" in one.cause}, data


def test_few_images_of_a_label_are_found(uploaded: Connection, manifest: Manifest) -> None:
    frame = manifest.frame
    rare = frame[(frame["label"] == "NORMAL") & (frame["split"] == "train")].index[5:]
    data = found(
        uploaded, Subject(Purpose.AUTOML, changed(manifest, split=frame["split"].where(~frame.index.isin(rare), "")))
    )
    assert any("'NORMAL' has 5 images in train" in one.cause and one.level is Level.ERROR for one in data["data"])


@pytest.mark.parametrize(
    ("subject", "check", "words"),
    [
        (Subject(Purpose.AUTOML, automl=AutoMLWishes(budget_node_hours=101)), "budget", "1 to 100 node hours"),
        (Subject(Purpose.AUTOML, automl=AutoMLWishes("cloud", 7)), "budget", "8 to 800"),
        (Subject(Purpose.AUTOML, automl=AutoMLWishes(budget_node_hours=float("nan"))), "budget", "node hours"),
        (Subject(Purpose.CUSTOM, hardware=HardwareWishes(gpus=2)), "machine", "has 1 x NVIDIA_L4, not 2"),
        (
            Subject(Purpose.CUSTOM, hardware=HardwareWishes(accelerator="NVIDIA_TESLA_T4")),
            "machine",
            "not NVIDIA_TESLA_T4",
        ),
        (Subject(Purpose.TUNE, hardware=HardwareWishes("n1-standard-4", 3)), "machine", "not 3"),
    ],
    ids=["budget", "cloud", "nan", "gpus", "accelerator", "attached"],
)
def test_what_cannot_be_asked_for_is_found(uploaded: Connection, subject: Subject, check: str, words: str) -> None:
    (finding,) = found(uploaded, subject)[check]
    assert (finding.level, words in finding.cause, bool(finding.next or check)) == (Level.ERROR, True, True)


def test_automl_is_offered_in_two_regions_only(uploaded: Connection) -> None:
    elsewhere = replace(uploaded, region="europe-west1")
    for purpose, level in ((Purpose.AUTOML, Level.ERROR), (Purpose.ANY, Level.WARNING), (Purpose.CUSTOM, Level.OK)):
        assert found(elsewhere, Subject(purpose))["region"][0].level is level


def asking(**wishes: Any) -> Subject:
    return Subject(Purpose.CUSTOM, hardware=HardwareWishes(**wishes))


def test_the_quota_is_for_all_gpus_at_once_and_spot_has_its_own(uploaded: Connection) -> None:
    matter(uploaded, quotas={L4: {"us-central1": 3}, SPOT_L4: {"us-central1": 1}})
    custom = Subject(Purpose.CUSTOM, hardware=HardwareWishes("g2-standard-24", replicas=2))
    (finding,) = found(uploaded, custom)["quota"]
    assert (finding.level, finding.cause) == (Level.ERROR, "4 x NVIDIA_L4 wanted, the quota is 3")
    assert finding.next.endswith(f"--quota-id={L4} --dimensions=region=us-central1 --preferred-value=4")
    assert found(uploaded, asking(machine="g2-standard-24"))["quota"][0].level is Level.OK
    assert SPOT_L4 in found(uploaded, asking(machine="g2-standard-24", spot=True))["quota"][0].next
    matter(uploaded, quotas={L4: {"us-central1": -1}})
    assert "no limit" in found(uploaded, custom)["quota"][0].cause
    assert found(uploaded, asking(machine="n1-standard-4"))["quota"][0].cause == "no GPU is asked for"
    # In a region of which the quota says nothing there is none.
    assert found(replace(uploaded, region="africa-south1"), custom)["quota"][0].level is Level.ERROR


def test_a_launch_is_checked_by_its_plan(uploaded: Connection, manifest: Manifest) -> None:
    options = CustomOptions("cnn5", Hardware("g2-standard-4", "NVIDIA_L4", 1, replicas=2, spot=True))
    subject = subject_of(plan_custom(uploaded, manifest, options, epochs=1), manifest)
    assert subject is not None
    assert (subject.purpose, uploaded.provider.hardware(subject.hardware)) == (Purpose.CUSTOM, options.hardware)
    matter(uploaded, quotas={SPOT_L4: {"us-central1": 1}})
    findings = found(uploaded, subject, quick=True)
    assert findings["quota"][0].level is Level.ERROR
    assert not {"images", "data", "budget"} & set(findings)
    automl = subject_of(plan_automl(uploaded, manifest, AutoMLOptions("cloud", 9)), manifest)
    assert automl is not None
    assert (automl.purpose, automl.automl) == (Purpose.AUTOML, AutoMLWishes("cloud", 9))


def made_bucket(connection: Connection, *, location: str = "US-CENTRAL1", project: str = "cxr-local") -> str:
    name = f"made-{uuid.uuid4().hex[:10]}"
    body = {"name": name, "location": location}
    requests.post(f"{connection.endpoint}/storage/v1/b?project={project}", json=body, timeout=120).raise_for_status()
    return name


def grant(connection: Connection, role: str = "roles/storage.objectViewer", *members: str) -> None:
    """The bucket's whole policy from now on."""
    policy = {"bindings": [{"role": role, "members": list(members)}]}
    url = f"{connection.endpoint}/storage/v1/b/{connection.bucket}/iam"
    assert requests.put(url, json=policy, timeout=120).status_code == 200
