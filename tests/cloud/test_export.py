"""`cxr cloud export`: formats checked first, exports found and taken up again, broken models refused."""

from __future__ import annotations

import shutil
import signal
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from interruptible import CXR
from service_site import LABELS, Site, open_site, wait_until
from tiny_models import tflite

from bundles import model_info
from cxr.bundle import (
    ModelFormat,
    Origin,
    Preprocessing,
    read_bundle,
    write_bundle,
)
from cxr.cloud.exporting.automl import bundle_info
from cxr.cloud.exporting.cost import cost_of
from cxr.cloud.exporting.formats import parse_formats
from cxr.cloud.exporting.records import ExportRecord, ExportRecords
from cxr.cloud.jobs.journal import Job
from cxr.cloud.plans.launch import JobKind
from cxr.cloud.vertex.clients import model_client, pipeline_client
from cxr.cloud.vertex.long_running import wait_by_name
from cxr.cloud.vertex.models import begin_export, get_model
from cxr.cloud.vertex.outputs import best_trial
from cxr.cloud.vertex.run_times import trial_hours

GREY = Preprocessing(224, 224, 3)


@pytest.fixture(scope="module")
def job(site: Site) -> Job:
    return site.automl()


def exported(site: Site, job: Job, format_id: str) -> list[str]:
    """The times at which a format has been exported."""
    names = [info.name for info in site.connection.store(f"exports/{job.id}").list()]
    return sorted({name.split("/")[2] for name in names if name.split("/")[1] == format_id})


def test_the_pipeline_that_was_sent_has_the_budget_and_the_manifests_split(site: Site, job: Job) -> None:
    from google.protobuf import json_format

    pipeline = pipeline_client(site.connection).get_training_pipeline(name=job.resource)
    assert dict(json_format.MessageToDict(pipeline._pb.training_task_inputs))["budgetMilliNodeHours"] == 1000
    config = pipeline.input_data_config
    assert "filter_split" in config  # a fraction split, and none, divide at random
    ml_use = "labels.aiplatform.googleapis.com/ml_use"
    split = config.filter_split
    assert (split.training_filter, split.validation_filter, split.test_filter) == (
        f"{ml_use}=training",
        f"{ml_use}=validation",
        f"{ml_use}=test",
    )


def test_every_format_is_checked_and_scored_and_comes_with_its_contract(site: Site, job: Job) -> None:
    ended = site.cxr("cloud", "export", job.id, "--to", "tflite,tf-js,edgetpu-tflite", "--out", "all", "--json")
    assert ended.code == 0, ended.stderr
    bundle = read_bundle(site.folder / "all")
    assert bundle.info.classes == LABELS
    assert (bundle.info.format, bundle.info.model_path) == (ModelFormat.TFLITE, "tflite/model.tflite")
    assert bundle.info.stand_in
    assert bundle.info.provenance["tf-js"]["scale_inside_model"] is False
    assert bundle.info.provenance["tflite"]["scale_inside_model"] is True
    formats = ended.document["formats"]
    assert formats["tflite"]["scores_of_one_image"] == pytest.approx([0.27, 0.73], abs=0.01)
    assert formats["edgetpu-tflite"]["scores_of_one_image"] == formats["tflite"]["scores_of_one_image"]
    assert formats["tf-js"]["scores_of_one_image"] is None
    assert "weights of 8 bytes whole" in formats["tf-js"]["checked"]
    cost = bundle.info.cost
    assert cost is not None
    assert (cost["worst_case_usd"], cost["actual_usd"], cost["billed"]) == (18.0, 0.0, False)
    assert cost["hours"] > 0
    assert cost["hours_are"] == "node hours"
    assert "stand-in" in ended.stderr


def test_a_bundle_of_tfjs_alone_says_that_who_feeds_it_scales(site: Site, job: Job) -> None:
    ended = site.cxr("cloud", "export", job.id, "--to", "tf-js,edgetpu-tflite", "--out", "js")
    assert ended.code == 0, ended.stderr
    info = read_bundle(site.folder / "js").info
    assert (info.format, info.preprocessing.scale_inside_model) == (ModelFormat.TFJS, False)
    assert info.provenance["verification"]["edgetpu-tflite"]["scores_of_one_image"] == pytest.approx(
        [0.27, 0.73], abs=0.01
    )
    assert "next: cxr compare js --manifest manifest.csv" in ended.stderr


def test_a_file_that_is_not_the_bundles_is_not_removed_with_it(site: Site, job: Job) -> None:
    (site.folder / "js" / "note.txt").write_text("mine")
    ended = site.cxr("cloud", "export", job.id, "--to", "tf-js", "--out", "js", "--force")
    assert (ended.code, "the first is note.txt" in ended.stderr) == (2, True)
    assert (site.folder / "js" / "note.txt").read_text() == "mine"


def test_an_export_that_is_in_the_bucket_is_found_without_a_record_and_made_anew_on_request(
    site: Site, job: Job
) -> None:
    assert site.cxr("cloud", "export", job.id, "--to", "tflite", "--out", "first").code == 0
    times = exported(site, job, "tflite")
    assert site.cxr("cloud", "export", job.id, "--to", "tflite", "--out", "second").code == 0
    shutil.rmtree(site.settings.state_dir / "exports")
    ended = site.cxr("cloud", "export", job.id, "--to", "tflite", "--out", "third")
    assert "was exported before" in ended.stderr
    assert exported(site, job, "tflite") == times
    assert site.cxr("cloud", "export", job.id, "--to", "tflite", "--out", "third", "--again").code == 2
    assert site.cxr("cloud", "export", job.id, "--to", "tflite", "--out", "third", "--again", "--force").code == 0
    assert len(exported(site, job, "tflite")) == len(times) + 1


def test_the_bundles_positive_class_and_task_are_those_of_the_labels_in_any_order(site: Site, job: Job) -> None:
    folder = site.folder / "labelled"
    (folder / "tflite").mkdir(parents=True)
    (folder / "tflite" / "model.tflite").write_bytes(b"model")
    formats, model = parse_formats(["tflite"]), get_model(site.connection, job.model)
    found = [
        bundle_info(model, folder, formats, labels, site.manifest.hash)
        for labels in (("bacteria", "virus"), ("virus", "bacteria"), ("virus", "normal", "bacteria"))
    ]
    assert [(one.positive_class, one.task) for one in found] == [
        ("virus", "binary"),
        ("virus", "binary"),
        ("virus", "multiclass"),
    ]


def test_an_export_begun_by_a_process_that_died_is_waited_for_and_not_begun_again(site: Site, job: Job) -> None:
    model = get_model(site.connection, job.model)
    begun = begin_export(site.connection, model, "edgetpu-tflite", f"{site.connection.base_url}/elsewhere")
    records = ExportRecords(site.settings.state_dir / "exports", job.id)
    records.put("edgetpu-tflite", ExportRecord(model.resource, begun.name, ""))
    before = exported(site, job, "edgetpu-tflite")
    ended = site.cxr("cloud", "export", job.id, "--to", "tflite,edgetpu-tflite", "--out", "gone-on", "--json")
    assert ended.code == 0, ended.stderr
    assert exported(site, job, "edgetpu-tflite") == before
    provenance = read_bundle(site.folder / "gone-on").info.provenance
    assert provenance["exported_to"]["edgetpu-tflite"].startswith(f"{site.connection.base_url}/elsewhere/")


def test_formats_that_are_unknown_not_offered_or_no_bundle_are_told_before_anything_is_exported(
    site: Site, job: Job
) -> None:
    unknown = site.cxr("cloud", "export", job.id, "--to", "tflite,onnx", "--out", "x")
    assert (unknown.code, "no export format onnx" in unknown.stderr) == (2, True)
    assert "saved-model" in unknown.stderr
    absent = site.cxr("cloud", "export", job.id, "--to", "tf-js,core-ml", "--out", "x")
    assert (absent.code, "no export format core-ml" in absent.stderr) == (2, True)
    assert "it has: tflite, edgetpu-tflite, saved-model, tf-js" in absent.stderr.replace("\n", " ")
    alone = site.cxr("cloud", "export", job.id, "--to", "core-ml", "--out", "x")
    assert (alone.code, "--to tflite,core-ml" in alone.stderr) == (2, True)
    assert not (site.folder / "x").exists()


@pytest.mark.parametrize(
    ("budget", "formats", "said"),
    [
        (1.101, "tflite,tf-js", "its weights have 4 bytes, model.json counts 8"),
        (1.102, "tflite,tf-js", "the exports disagree on the labels"),
        (1.103, "tflite,tf-js", "is no TFLite file"),
        (1.104, "tflite,edgetpu-tflite", "the exports disagree on one image"),
        (1.105, "tflite,tf-js", "its input is [1, 299, 299, 3]"),
    ],
    ids=["lost-weights", "other-labels", "no-model", "disagreement", "other-input"],
)
def test_a_broken_model_is_refused_and_leaves_nothing(site: Site, budget: float, formats: str, said: str) -> None:
    broken = site.automl(budget_node_hours=budget)
    ended = site.cxr("cloud", "export", broken.id, "--to", formats, "--out", f"broken-{budget}")
    assert ended.code == 5
    assert said in ended.stderr
    assert list(site.folder.glob(f"*broken-{budget}*")) == []


def trained(site: Site, job_id: str, model: bytes, **changes: object) -> Job:
    """A job that has ended, and the bundle that it wrote."""
    folder = site.folder / f"written-{job_id}"
    folder.mkdir()
    (folder / "model.tflite").write_bytes(model)
    info = model_info(
        origin=Origin.CUSTOM_JOB,
        format=ModelFormat.TFLITE,
        model_path="model.tflite",
        classes=LABELS,
        positive_class=LABELS[1],
        preprocessing=GREY,
        manifest_hash=site.manifest.hash,
    )
    write_bundle(folder, info)
    for path in folder.iterdir():
        site.connection.store(f"jobs/{job_id}/model").put_bytes(path.name, path.read_bytes())
    there = site.connection
    job = Job(
        id=job_id,
        kind=JobKind.CUSTOM,
        on=there.on,
        project=there.project,
        region=there.region,
        bucket=there.bucket,
        prefix=there.prefix,
        manifest_hash=site.manifest.hash,
        fingerprint="",
        resource=f"{there.parent}/customJobs/404",
        state="SUCCEEDED",
        output_url=f"{there.base_url}/jobs/{job_id}",
        started="2026-11-20T10:00:00+00:00",
        ended="2026-11-20T10:30:00+00:00",
        usd_per_hour=0.8,
        worst_case_usd=1.6,
    )
    return site.write_down(replace(job, **changes))  # type: ignore[arg-type]


def test_what_a_custom_job_wrote_is_scored_before_it_is_a_bundle(site: Site) -> None:
    good = trained(site, "custom-good", tflite(LABELS, (0.0, 1.0)))
    ended = site.cxr("cloud", "export", good.id, "--out", "gpu", "--json")
    assert ended.code == 0, ended.stderr
    bundle = read_bundle(site.folder / "gpu")
    assert bundle.info.provenance["verification"]["tflite"]["checked"] == "scored one image"
    assert bundle.info.cost is not None
    assert bundle.info.cost["hours"] == 0.5
    bad = trained(site, "custom-bad", b"TFL3 this is no model")
    refused = site.cxr("cloud", "export", bad.id, "--out", "bad")
    assert (refused.code, "the job's model cannot be scored" in refused.stderr) == (5, True)
    assert not (site.folder / "bad").exists()


def test_a_tuning_jobs_hours_are_those_of_its_trials_and_spot_is_a_bound(site: Site) -> None:
    types = pytest.importorskip("google.cloud.aiplatform_v1").types

    def at(hour: int) -> str:
        return f"2026-11-20T{hour}:00:00Z"

    trials = [
        types.Trial({"start_time": at(10), "end_time": at(12)}),
        types.Trial({"start_time": at(10), "end_time": at(11)}),
        types.Trial({"state": "REQUESTED"}),
    ]
    assert trial_hours(trials) == 3.0
    tuned = trained(site, "tune-gone", b"", kind=JobKind.TUNE, progress={"trial_hours": 3.0}, details={"spot": True})
    tuned = replace(tuned, resource=f"{site.connection.parent}/hyperparameterTuningJobs/404")
    cost = cost_of(site.connection, tuned)
    assert (cost["hours"], cost["hours_are"], cost["actual_is_at_most"]) == (3.0, "hours of trials", True)


def test_a_job_started_elsewhere_needs_its_manifest_named(site: Site, job: Job) -> None:
    attached = site.write_down(replace(job, id="automl-attached", manifest_hash="", attached=True))
    unnamed = site.cxr("cloud", "export", attached.id, "--to", "tflite", "--out", "attached")
    assert (unnamed.code, "--manifest manifest.csv" in unnamed.stderr) == (2, True)
    named = site.cxr("cloud", "export", attached.id, "--to", "tflite", "--out", "attached", "-m", "manifest.csv")
    assert named.code == 0, named.stderr
    assert read_bundle(site.folder / "attached").info.manifest_hash == site.manifest.hash
    other = trained(site, "custom-attached", tflite(LABELS, (0.0, 1.0)), manifest_hash="f" * 64, attached=True)
    wrong = site.cxr("cloud", "export", other.id, "--out", "wrong", "-m", "manifest.csv")
    assert (wrong.code, "not comparable" in wrong.stderr) == (5, True)


def test_the_best_trial_is_found_by_the_metrics_goal() -> None:
    types = pytest.importorskip("google.cloud.aiplatform_v1").types

    def tuning(goal: str) -> object:
        trials = [
            {
                "id": str(number),
                "state": state,
                "final_measurement": {"metrics": [{"metric_id": "loss", "value": value}]},
                "parameters": [{"parameter_id": "learning_rate", "value": 0.1 * number}],
            }
            for number, state, value in ((1, "SUCCEEDED", 0.3), (2, "SUCCEEDED", 0.2), (3, "INFEASIBLE", 0.1))
        ]
        study = {"metrics": [{"metric_id": "loss", "goal": goal}]}
        return types.HyperparameterTuningJob(display_name="t", study_spec=study, trials=trials)

    assert best_trial(tuning("MINIMIZE"))["trial"] == "2"
    best = best_trial(tuning("MAXIMIZE"))
    assert (best["trial"], best["metric"]) == ("1", {"loss": 0.3})
    assert best["parameters"]["learning_rate"] == pytest.approx(0.1)


def test_a_record_that_cannot_be_read_costs_an_export_and_no_error(tmp_path: Path) -> None:
    (tmp_path / "j.json").write_text('{"tflite": {"model": "m"}, "tf-js": [')
    assert ExportRecords(tmp_path, "j").get("tflite") is None


def test_ctrl_c_leaves_the_export_to_the_service_and_the_same_command_goes_on(site: Site, job: Job) -> None:
    records = site.settings.state_dir / "exports" / f"{job.id}.json"
    command = ["cloud", "export", job.id, "--to", "saved-model,tf-js", "--again", "--out", "left"]
    slow = {"path": "/ui/.*operations/", "action": "latency", "seconds": 30}
    known = ExportRecords(records.parent, job.id).get("tf-js")
    with site.faults(slow):
        process = subprocess.Popen(
            [*CXR, *command, "--state-dir", str(site.settings.state_dir)],
            cwd=site.folder,
            stderr=subprocess.PIPE,
            text=True,
        )
        wait_until(lambda: ExportRecords(records.parent, job.id).get("tf-js") != known)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=300)
    assert process.returncode == 6
    assert f"cxr cloud export {job.id} --to saved-model,tf-js --out left" in said
    assert list(site.folder.glob("*left*")) == []
    begun = ExportRecords(records.parent, job.id).get("tf-js")
    assert begun is not None
    assert begun.operation
    wait_by_name(model_client(site.connection), begun.operation, "export")  # all its files are there to be counted
    times = exported(site, job, "tf-js")
    ended = site.cxr("cloud", "export", job.id, "--to", "tf-js", "--out", "left", "--json")
    assert ended.code == 0, ended.stderr
    assert exported(site, job, "tf-js") == times
    assert read_bundle(site.folder / "left").info.format is ModelFormat.TFJS


@pytest.mark.slow
def test_every_format_of_a_trained_stand_in_agrees(tmp_path: Path) -> None:
    with open_site(tmp_path, stand_in_epochs=2) as site:
        job = site.automl()
        formats = "tflite,saved-model,tf-js,edgetpu-tflite"
        ended = site.cxr("cloud", "export", job.id, "--to", formats, "--out", "all", "--json")
        assert ended.code == 0, ended.stderr
        scores = {name: one["scores_of_one_image"] for name, one in ended.document["formats"].items()}
        assert scores["saved-model"] == pytest.approx(scores["tflite"], abs=0.15)
        assert site.cxr("cloud", "export", job.id, "--to", "saved-model", "--out", "only").code == 0
        assert read_bundle(site.folder / "only").info.format is ModelFormat.SAVED_MODEL
        assert site.cxr("cloud", "export", job.id, "--to", "tf-js", "--out", "js").code == 0
        words = ("compare", "all", "only", "js", "--manifest", "manifest.csv", "--json", "--cache", "cache")
        compared = site.plain(*words, "--out", "compared")
        assert compared.code == 0, compared.stderr
