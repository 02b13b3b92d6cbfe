"""`cxr cloud evaluate`: the service's own figures, and predictions of models that stay on the service."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import pytest
from service_site import LABELS, Site

from cxr.bundle import ModelFormat, read_bundle
from cxr.cloud.jobs.journal import Job
from cxr.cloud.plans.launch import JobKind
from cxr.cloud.predicting.online import check_requests
from cxr.cloud.predicting.scores import Picture, Scores
from cxr.cloud.predicting.service_evaluation import confusion, curve
from cxr.errors import CheckFailed


@pytest.fixture(scope="module")
def mobile(site: Site) -> Job:
    return site.automl()


@pytest.fixture(scope="module")
def cloud(site: Site) -> Job:
    return site.automl("cloud", 8)


def batches(site: Site) -> list[Job]:
    return [job for job in site.journal.jobs() if job.kind is JobKind.BATCH]


def test_the_services_figures_come_as_json_and_csv_and_are_called_its_own(site: Site, mobile: Job) -> None:
    ended = site.cxr("cloud", "evaluate", mobile.id, "--out", "figures")
    assert ended.code == 0, ended.stderr
    folder = site.folder / "figures"
    assert ["0.5", "0.9", "0.8"] in [row[:3] for row in csv.reader((folder / "metrics.csv").open())]
    assert list(csv.reader((folder / "confusion.csv").open())) == [
        ["truth", *LABELS],
        ["NORMAL", "7", "1"],
        ["PNEUMONIA", "2", "6"],
    ]
    slices = list(csv.DictReader((folder / "slices.csv").open()))
    assert [(one["label"], one["auRoc"]) for one in slices] == [("NORMAL", "0.85"), ("PNEUMONIA", "0.85")]
    document = json.loads((folder / "evaluation.json").read_text())
    assert document["evaluation"]["metrics"]["auPrc"] == pytest.approx(0.91)
    assert document["stand_in"] is True
    assert "the service's own figures" in ended.stderr
    assert "stand-in" in ended.stderr
    assert "0.910" in ended.stdout
    assert site.cxr("cloud", "evaluate", mobile.id, "--out", "figures", "--json").document["au_prc"] == 0.91


def test_a_folder_of_somebody_elses_files_takes_no_figures(site: Site, mobile: Job) -> None:
    (site.folder / "mine").mkdir()
    (site.folder / "mine" / "metrics.csv").write_text("my own")
    refused = site.cxr("cloud", "evaluate", mobile.id, "--out", "mine")
    assert (refused.code, (site.folder / "mine" / "metrics.csv").read_text()) == (2, "my own")
    assert site.cxr("cloud", "evaluate", mobile.id, "--out", "manifest.csv/x").code == 2
    other = json.loads((site.folder / "figures" / "evaluation.json").read_text()) | {"job": "automl-other"}
    (site.folder / "mine" / "evaluation.json").write_text(json.dumps(other))
    assert site.cxr("cloud", "evaluate", mobile.id, "--out", "mine").code == 2
    (site.folder / "mine" / "evaluation.json").write_text(json.dumps(other | {"job": mobile.id}))
    assert site.cxr("cloud", "evaluate", mobile.id, "--out", "mine").code == 0


@pytest.mark.parametrize(
    "matrix",
    [
        {"annotationSpecs": [{"displayName": "a"}], "rows": [[1], [2]]},
        {"annotationSpecs": [{"displayName": "a"}], "rows": [[1, 2]]},
        {"annotationSpecs": [{"displayName": "a"}], "rows": [["many"]]},
        {"annotationSpecs": [{"displayName": "a"}], "rows": [[float("nan")]]},
    ],
    ids=["rows", "columns", "words", "nan"],
)
def test_a_confusion_matrix_that_does_not_fit_is_no_bug_of_ours(matrix: dict[str, object]) -> None:
    with pytest.raises(CheckFailed, match="the service's"):
        confusion({"confusionMatrix": matrix})


def test_zeros_that_the_service_leaves_out_are_zeros() -> None:
    points = curve(
        {"confidenceMetrics": [{"confidenceThreshold": 0.9, "recall": 0.3}, {"recall": 1, "precision": 0.5}]}
    )
    assert [(one.threshold, one.precision, round(one.f1, 3)) for one in points] == [(0, 0.5, 0.667), (0.9, 0, 0)]


def test_an_edge_model_is_not_predicted_by_the_service(site: Site, mobile: Job) -> None:
    ended = site.cxr("cloud", "evaluate", mobile.id, "--predict", "batch", "-m", "manifest.csv", "--yes")
    assert (ended.code, f"cxr cloud export {mobile.id}" in ended.stderr) == (2, True)
    assert batches(site) == []


def test_a_cloud_model_cannot_be_exported_and_the_way_to_judge_it_is_told(site: Site, cloud: Job) -> None:
    ended = site.cxr("cloud", "export", cloud.id, "--out", "nothing")
    assert ended.code == 2
    assert "cxr cloud evaluate" in ended.stderr
    assert not (site.folder / "nothing").exists()


def test_a_batch_is_priced_and_capped_before_anything_is_launched(site: Site, cloud: Job) -> None:
    batch = ("cloud", "evaluate", cloud.id, "--predict", "batch", "-m", "manifest.csv")
    planned = site.cxr(*batch, "--dry-run")
    assert planned.code == 0, planned.stderr
    assert "2.222" in planned.stdout
    assert site.cxr(*batch, "--max-cost", "0.5", "--yes").code == 3
    assert site.cxr(*batch).code == 2  # nobody said yes
    assert batches(site) == []


def test_a_batch_comes_home_as_predictions_that_compare_takes_and_is_not_launched_twice(site: Site, cloud: Job) -> None:
    batch = ("cloud", "evaluate", cloud.id, "--predict", "batch", "-m", "manifest.csv", "--out", "answers", "--yes")
    ended = site.cxr(*batch, "--json")
    assert ended.code == 0, ended.stderr
    (job,) = batches(site)
    assert (job.state, job.exported_to, job.details["trained_by"]) == ("SUCCEEDED", "answers", cloud.id)
    bundle = read_bundle(site.folder / "answers")
    assert (bundle.info.format, bundle.info.manifest_hash) == (ModelFormat.PREDICTIONS, site.manifest.hash)
    assert bundle.info.provenance["model"] == cloud.model
    assert bundle.info.stand_in
    rows = list(csv.DictReader((site.folder / "answers" / "predictions" / "predictions.csv").open()))
    assert len(rows) == 16
    assert all(abs(float(row["p_NORMAL"]) + float(row["p_PNEUMONIA"]) - 1) < 1e-6 for row in rows)
    again = site.cxr(*batch)
    assert (again.code, len(batches(site))) == (0, 1)
    assert f"found {job.id}" in again.stderr
    compared = site.plain("compare", "answers", "--manifest", "manifest.csv", "--json", "--cache", "cache")
    assert compared.code == 0, compared.stderr
    row = compared.document["rows"][0]
    assert (row["trained_by"], row["model_size_bytes"], row["latency_ms"]) == ("AutoML (emulator stand-in)", None, None)


def test_a_batch_whose_journal_is_lost_is_found_by_its_label(site: Site, cloud: Job) -> None:
    (job,) = batches(site)
    kept = site.settings.journal_path.read_text()
    site.settings.journal_path.write_text("".join(line for line in kept.splitlines(True) if job.id not in line))
    assert batches(site) == []
    batch = ("cloud", "evaluate", cloud.id, "--predict", "batch", "-m", "manifest.csv", "--out", "answers", "--yes")
    ended = site.cxr(*batch)
    assert ended.code == 0, ended.stderr
    assert [one.resource for one in batches(site)] == [job.resource]


def test_rows_that_nobody_asked_for_and_second_answers_are_refused(site: Site, cloud: Job) -> None:
    (job,) = batches(site)
    store = site.connection.open(str(site.ended(job).progress["output_directory"]))
    (name,) = (info.name for info in store.list() if "predictions" in info.name)
    line = json.loads(store.get_bytes(name).splitlines()[0])
    foreign = {**line, "instance": {"content": f"{site.connection.images_url}/train/NORMAL/IM-0000-0001.png"}}
    twice = {**line, "prediction": {**line["prediction"], "confidences": [0.25, 0.75]}}
    batch = ("cloud", "evaluate", cloud.id, "--predict", "batch", "-m", "manifest.csv", "--out", "odd", "--yes")
    for data, said in (
        (json.dumps(foreign).encode(), "which is no test image of this manifest"),
        (json.dumps(twice).encode(), "answered twice"),
        (b"\xff\xfe{}\n", "is not UTF-8"),
    ):
        store.replace_bytes("zzz_00009.jsonl", data)
        ended = site.cxr(*batch)
        assert (ended.code, said in ended.stderr) == (5, True), ended.stderr
    store.delete("zzz_00009.jsonl")
    assert not (site.folder / "odd").exists()


def test_only_predictions_of_the_same_job_are_replaced_and_nobodys_files_go(site: Site, cloud: Job) -> None:
    batch = ("cloud", "evaluate", cloud.id, "--predict", "batch", "-m", "manifest.csv", "--out", "answers", "--yes")
    note = site.folder / "answers" / "notes.txt"
    note.write_text("mine")
    for more in ((), ("--force",)):
        ended = site.cxr(*batch, *more)
        assert (ended.code, "the first is notes.txt" in ended.stderr) == (2, True)
    note.unlink()
    described = site.folder / "answers" / "bundle.json"
    mine = described.read_text()
    described.write_text(mine.replace(cloud.id, "automl-other"))
    refused = site.cxr(*batch)
    assert (refused.code, "--force" in refused.stderr) == (2, True)
    assert site.cxr(*batch, "--force").code == 0
    assert json.loads(described.read_text())["provenance"]["job"] == cloud.id


def test_the_model_of_a_batch_is_looked_for_where_it_is(site: Site, cloud: Job) -> None:
    (job,) = batches(site)
    ended = site.cxr("cloud", "evaluate", job.id)
    assert (ended.code, "trained no model" in ended.stderr) == (2, True)
    state = f"--state-dir {site.settings.state_dir}"
    assert f"cxr cloud evaluate {cloud.id} --predict batch --manifest manifest.csv {state}" in ended.stderr


def test_after_a_batch_was_made_again_the_newest_is_the_one_that_counts(site: Site, cloud: Job) -> None:
    batch = ("cloud", "evaluate", cloud.id, "--predict", "batch", "-m", "manifest.csv", "--out", "new one", "--yes")
    (first,) = batches(site)
    assert site.cxr(*batch, "--again").code == 0
    (second,) = (job for job in batches(site) if job.id != first.id)
    ended = site.cxr(*batch)
    assert (ended.code, f"found {second.id}" in ended.stderr) == (0, True)
    assert read_bundle(site.folder / "new one").info.provenance["batch_job"] == second.id
    assert "next: cxr compare 'new one' --manifest manifest.csv" in ended.stderr


def test_predictions_of_another_manifest_are_refused(site: Site, cloud: Job) -> None:
    other = site.write_down(replace(cloud, id="automl-other", manifest_hash="f" * 64))
    ended = site.cxr("cloud", "evaluate", other.id, "--predict", "batch", "-m", "manifest.csv", "--yes")
    assert (ended.code, "not comparable" in ended.stderr) == (5, True)


def test_a_folder_with_something_else_is_not_written_to(site: Site, cloud: Job) -> None:
    batch = ("cloud", "evaluate", cloud.id, "--predict", "batch", "-m", "manifest.csv", "--out", "images", "--yes")
    assert site.cxr(*batch).code == 2


def test_images_that_do_not_fit_into_a_request_are_refused_and_not_made_smaller() -> None:
    small, large = Picture("a.png", 1_000_000, "", "image/png"), Picture("b.png", 1_200_000, "", "image/png")
    check_requests([small])
    with pytest.raises(CheckFailed, match=r"1 of 2 images do not fit .* b\.png \(1\.20 MB"):
        check_requests([small, large])


@pytest.mark.parametrize(
    "confidences",
    [[float("nan"), 0.5], [7.3, -6.3], [0.0, 0.0], [0.9, 0.2], [0.9], [None, 0.1], ["0.5", 0.5], [True, 0.0], None],
    ids=str,
)
def test_what_is_no_set_of_probabilities_becomes_none(confidences: object) -> None:
    with pytest.raises(CheckFailed, match=r"a\.png"):
        Scores(LABELS).add("a.png", {"displayNames": list(LABELS), "confidences": confidences})


def test_a_one_of_32_bits_may_be_a_little_more_and_an_answer_may_be_repeated() -> None:
    scores = Scores(LABELS)
    for _ in range(2):
        scores.add("a.png", {"displayNames": list(LABELS), "confidences": [1.0000001, 0]})
    assert scores.rows == {"a.png": (1.0, 0.0)}
    with pytest.raises(CheckFailed, match="answered twice"):
        scores.add("a.png", {"displayNames": list(LABELS), "confidences": [0.9, 0.1]})


def test_answers_with_other_labels_and_missing_answers_are_no_predictions() -> None:
    scores = Scores(LABELS)
    scores.add("a.png", {"displayNames": ["PNEUMONIA", "NORMAL"], "confidences": [0.75, 0.25]})
    assert scores.rows == {"a.png": (0.25, 0.75)}
    with pytest.raises(CheckFailed, match="the service answered CAT"):
        scores.add("b.png", {"displayNames": ["CAT"], "confidences": [1.0]})
    scores.failures["b.png"] = "cannot be decoded"
    with pytest.raises(CheckFailed, match=r"1 of 2 images were not scored, the first is b\.png: cannot be decoded"):
        scores.check_complete([Picture("a.png", 1, "", ""), Picture("b.png", 1, "", "")])
