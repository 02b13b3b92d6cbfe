"""Plans: priced, bounded, and refused before anything is asked of a service."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from cxr.cloud.connection import Connection, connect
from cxr.cloud.hardware import Hardware
from cxr.cloud.trainer.job import HDF5_MAGIC, CustomOptions
from cxr.cloud.vertex.automl import AutoMLOptions, plan_automl
from cxr.cloud.vertex.custom import plan_custom
from cxr.cloud.vertex.offers import choose_hardware
from cxr.errors import CxrError, InputError, NotAllowed, UsageError
from cxr.manifests.manifest import BLANK_ROW, Manifest, ManifestHeader, new_manifest
from cxr.settings import Settings, Target

L4 = choose_hardware("g2-standard-4")
#: 100 GB of disk an hour.
DISK = 100 * 0.1955 / 730
GOOGLE = Connection(Target.GCP, "project", "us-central1", "bucket", "cxr", None)


def make_manifest(labels: tuple[str, str] = ("NORMAL", "PNEUMONIA"), images: int = 12) -> Manifest:
    rows = [
        BLANK_ROW
        | {"path": f"{split}/{label}/{n}.jpeg", "label": label, "split": split, "patient": f"{split}{label}{n}"}
        | {"sha256": hashlib.sha256(f"{split}{label}{n}".encode()).hexdigest(), "width": 10, "height": 10, "size": 100}
        for split in ("train", "validation", "test")
        for label in labels
        for n in range(images)
    ]
    return new_manifest(pd.DataFrame(rows), ManifestHeader(root="."))


def test_the_worst_case_is_the_budget_times_the_price() -> None:
    plan = plan_automl(GOOGLE, make_manifest(), AutoMLOptions("mobile-versatile", 2))
    assert plan.cost.worst_usd == 36.0
    assert plan.request["budget_milli_node_hours"] == 2000
    assert "36.00 USD" in dict(plan.rows())["cost"]
    cloud = plan_automl(GOOGLE, make_manifest(), AutoMLOptions("cloud", 8))
    assert cloud.cost.worst_usd == pytest.approx(27.72)
    assert any("cannot be exported" in note for note in cloud.notes)
    assert plan.notes == ()


def test_a_gpu_job_costs_at_most_its_timeout() -> None:
    plan = plan_custom(GOOGLE, make_manifest(), CustomOptions("cnn5", L4, timeout_hours=3))
    assert plan.cost.worst_usd == pytest.approx(3 * (0.8129 + DISK))


@pytest.mark.parametrize("image", ["", "not an image", "HTTP://registry/x", "x\nRUN rm"])
def test_what_is_no_image_is_refused_before_a_machine_is_waited_for(image: str) -> None:
    with pytest.raises(UsageError, match="is no image"):
        plan_custom(GOOGLE, make_manifest(), CustomOptions("cnn5", L4, image=image))


def test_the_emulator_bills_nothing_and_says_what_google_would() -> None:
    local = replace(GOOGLE, on=Target.EMULATOR, endpoint="http://127.0.0.1:1")
    plan = plan_automl(local, make_manifest(), AutoMLOptions("mobile-versatile", 1))
    assert dict(plan.rows())["cost"].startswith("nothing here; on Google at most 18.00 USD")
    assert any("stand-in" in note for note in plan.notes)


@pytest.mark.parametrize(
    ("model_type", "hours", "words"),
    [
        ("mobile-versatile", 0.5, "1 to 100 node hours"),
        ("mobile-versatile", 101, "1 to 100 node hours"),
        ("mobile-versatile", float("nan"), "1 to 100 node hours"),
        ("mobile-versatile", float("inf"), "1 to 100 node hours"),
        ("cloud", 1, "8 to 800 node hours"),
        ("enormous", 1, "no AutoML model type"),
    ],
)
def test_a_budget_or_model_type_that_the_service_refuses_is_refused_here(
    model_type: str, hours: float, words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        plan_automl(GOOGLE, make_manifest(), AutoMLOptions(model_type, hours))


def test_automl_outside_its_regions_is_refused() -> None:
    with pytest.raises(UsageError, match="not offered in asia-east1"):
        plan_automl(replace(GOOGLE, region="asia-east1"), make_manifest(), AutoMLOptions("cloud", 8))


def test_a_label_that_vertex_refuses_is_named() -> None:
    with pytest.raises(CxrError, match="2-NORMAL"):
        plan_automl(GOOGLE, make_manifest(("2-NORMAL", "PNEUMONIA")), AutoMLOptions("mobile-versatile", 1))


def test_too_few_images_of_a_label_are_counted() -> None:
    with pytest.raises(CxrError, match="at least 10 training images of each label, NORMAL has 4"):
        plan_automl(GOOGLE, make_manifest(images=4), AutoMLOptions("mobile-versatile", 1))


def test_the_id_names_the_plan_and_nothing_else() -> None:
    first = plan_custom(GOOGLE, make_manifest(), CustomOptions("cnn5", L4))
    assert first.job_id == plan_custom(GOOGLE, make_manifest(), CustomOptions("cnn5", L4)).job_id
    assert first.job_id != plan_custom(GOOGLE, make_manifest(), CustomOptions("cnn5", L4, seed=8)).job_id
    assert first.job_id != replace(first, attempt=2).job_id
    assert all(len(value) <= 63 and value == value.lower() for value in first.labels.values())


def test_a_weights_file_is_identified_by_its_bytes(tmp_path: Path) -> None:
    one, two = tmp_path / "a" / "w.h5", tmp_path / "b" / "w.h5"
    for path in (one, two):
        path.parent.mkdir()
        path.write_bytes(HDF5_MAGIC + b"weights")
    ids = {
        plan_custom(GOOGLE, make_manifest(), CustomOptions("cnn5", L4, weights=str(path))).job_id for path in (one, two)
    }
    assert len(ids) == 1
    (tmp_path / "text.h5").write_text("no weights")
    with pytest.raises(InputError, match="no HDF5 file"):
        plan_custom(GOOGLE, make_manifest(), CustomOptions("cnn5", L4, weights=str(tmp_path / "text.h5")))
    with pytest.raises(InputError, match="no weights file"):
        plan_custom(GOOGLE, make_manifest(), CustomOptions("cnn5", L4, weights=str(tmp_path / "absent.h5")))


@pytest.mark.parametrize("hours", [0.0, 0.0001, 169, float("nan")])
def test_a_timeout_that_bounds_nothing_is_refused(hours: float) -> None:
    with pytest.raises(UsageError, match="between a minute and 168 hours"):
        plan_custom(GOOGLE, make_manifest(), CustomOptions("cnn5", L4, timeout_hours=hours))


def test_another_regions_price_is_not_passed_off_as_its_own() -> None:
    plan = plan_custom(replace(GOOGLE, region="europe-west4"), make_manifest(), CustomOptions("cnn5", L4))
    assert any("europe-west4 may cost more" in note for note in plan.notes)


@pytest.mark.parametrize("prefix", ['a"; touch x; "', "a b", "../up", "$(x)"])
def test_a_prefix_that_means_something_to_a_shell_is_refused(prefix: str) -> None:
    with pytest.raises(UsageError, match="not a legal prefix"):
        connect(Settings(prefix=prefix))


def test_an_unpriced_machine_is_not_launched() -> None:
    with pytest.raises(UsageError, match="price of 'x9-huge' is not known"):
        plan_custom(GOOGLE, make_manifest(), CustomOptions("cnn5", Hardware("x9-huge", None, 0)))


def test_google_without_project_or_bucket_says_how_to_set_it() -> None:
    with pytest.raises(UsageError, match="no project") as raised:
        connect(Settings(on=Target.GCP))
    assert "--project" in str(raised.value.hint)
    with pytest.raises(UsageError, match="no bucket"):
        connect(Settings(on=Target.GCP, project="p"))


def test_google_without_credentials_is_not_allowed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    with pytest.raises(NotAllowed, match="no Google credentials"):
        connect(Settings(on=Target.GCP, project="p", bucket="bucket"))


def test_google_is_refused_while_storage_points_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:1")
    with pytest.raises(UsageError, match="STORAGE_EMULATOR_HOST is set"):
        connect(Settings(on=Target.GCP, project="p", bucket="bucket"))


@pytest.mark.parametrize("bucket", ["Upper", "a", "-dash", "gs://b", "with space"])
def test_an_illegal_bucket_name_is_refused(bucket: str) -> None:
    with pytest.raises(UsageError, match="not a legal bucket name"):
        connect(Settings(bucket=bucket))
