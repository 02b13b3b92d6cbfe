"""`cxr compare import` as it is typed: a CSV of scores becomes a bundle that is judged like all others."""

from __future__ import annotations

import json
from functools import partial

import pandas as pd
import pytest

from cxr.bundle import ModelFormat, Origin, read_bundle
from cxr.manifests.manifest import BLANK_ROW, ManifestHeader, new_manifest
from cxr.manifests.manifest_file import write_manifest

IMAGES = 12


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A manifest without its images, and the scores of its test and validation images."""
    place = tmp_path_factory.mktemp("import")
    rows = [
        BLANK_ROW
        | {
            "path": f"{split}/{label}/{number}.png",
            "label": label,
            "patient": f"{split}-{label}-{number}",
            "split": split,
            "sha256": f"{index:064x}",
        }
        for index, (split, label, number) in enumerate(
            (split, label, number)
            for split in ("train", "validation", "test")
            for label in ("NORMAL", "PNEUMONIA")
            for number in range(IMAGES)
        )
    ]
    manifest = new_manifest(pd.DataFrame(rows), ManifestHeader(root="."), place / "manifest.csv")
    write_manifest(manifest, place / "manifest.csv")
    scores = [(path, 0.6 if "PNEUMONIA" in path else 0.3) for path in manifest.frame["path"] if "train" not in path]
    (place / "scores.csv").write_text("path,score\n" + "".join(f"{path},{score}\n" for path, score in scores))
    test_only = [(path, score) for path, score in scores if path.startswith("test")]
    (place / "some.csv").write_text("path,score\n" + "".join(f"{path},{score}\n" for path, score in test_only[1:]))
    return place


@pytest.fixture
def cxr(folder, monkeypatch, typed):
    """Run `cxr compare …` in the folder: (exit code, stdout, stderr)."""
    monkeypatch.chdir(folder)
    return partial(typed, "compare")


def test_scores_become_a_bundle_with_a_threshold_from_validation(cxr, folder):
    code, out, err = cxr("import", "scores.csv", "--name", "resnet50", "--manifest", "manifest.csv", "--out", "runs/x")
    assert code == 0
    assert "resnet50" in out
    assert "what this model was trained on is not known here" in err
    assert "next: cxr compare runs/x" in err
    assert "max-youden of 24 images" in out
    assert "12 validation images of PNEUMONIA and 12 others" in err
    info = read_bundle(folder / "runs" / "x").info
    assert (info.name, info.format, info.origin) == ("resnet50", ModelFormat.PREDICTIONS, Origin.IMPORTED)
    assert info.threshold.chosen_on == "validation"
    assert 0.3 < info.threshold.value <= 0.6


def test_json_is_one_document_and_a_given_threshold_is_kept(cxr, folder):
    code, out, err = cxr(
        "import", "scores.csv", "--name", "b", "--out", "runs/b", "--threshold", "0.25", "--json", "-q"
    )
    assert (code, err) == (0, "")
    document = json.loads(out)
    assert document["schema"] == "cxr.compare.import"
    assert (document["threshold"], document["images"]) == (0.25, 2 * IMAGES)
    assert document["hash"] == read_bundle(folder / "runs" / "b").hash


@pytest.mark.parametrize(
    ("arguments", "code", "what"),
    [
        pytest.param(["import", "gone.csv", "--name", "x"], 2, "cannot read gone.csv", id="no file"),
        pytest.param(
            ["import", "some.csv", "--name", "x"], 2, "has no score for 1 of 24 test images", id="one missing"
        ),
        pytest.param(["import", "scores.csv", "--name", " "], 2, "--name is empty", id="no name"),
        pytest.param(["import", "scores.csv", "--name", "x", "--threshold", "7"], 2, "--threshold 7", id="threshold"),
        pytest.param(["import", "scores.csv"], 2, "--name", id="name is needed"),
        pytest.param(
            ["import", "scores.csv", "--name", "x", "--manifest", "gone.csv"], 2, "gone.csv", id="no manifest"
        ),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_written(cxr, folder, arguments, code, what):
    left, _, err = cxr(*arguments, *(["--out", "runs/refused"] if len(arguments) > 2 else []))
    assert left == code
    assert what in err
    assert "Traceback" not in err
    assert not (folder / "runs" / "refused").exists()


def test_help_has_an_example(cxr):
    code, out, _ = cxr("import", "--help")
    assert code == 0
    assert "Example: cxr compare import" in " ".join(out.split())


def test_a_batch_predictions_folder_becomes_a_bundle(cxr, folder):
    answers = folder / "answers" / "prediction-resnet50-2026"
    answers.mkdir(parents=True)
    lines = [
        {
            "instance": {"content": f"gs://bucket/{path}", "mimeType": "image/png"},
            "prediction": {"displayNames": ["PNEUMONIA", "NORMAL"], "confidences": [score, 1 - score]},
        }
        for path in pd.read_csv(folder / "manifest.csv")["path"]
        for score in [0.75 if "PNEUMONIA" in path else 0.25]
        if path.startswith("test")
    ]
    (answers / "predictions_00001.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    code, out, err = cxr("import", "answers", "--name", "resnet50", "--out", "runs/batch")
    assert (code, "0.5000 on (convention" in out) == (0, True)
    bundle = read_bundle(folder / "runs" / "batch")
    assert bundle.info.provenance["scores"] == "answers"
    rows = pd.read_csv(bundle.model_path / "predictions.csv")
    assert ((rows["p_PNEUMONIA"] == 0.75) == (rows["label"] == "PNEUMONIA")).all()
    refused, _, err = cxr("import", "scores.csv", "--name", "x", "--outputs", "NORMAL,PNEUMONIA")
    assert (refused, "--outputs is for a batch" in err) == (2, True)


def test_scores_of_another_task_than_the_labels_are_taken_with_task(cxr, folder):
    kinds = ("NORMAL", "BACTERIAL", "VIRAL")
    rows = [
        BLANK_ROW
        | {"path": f"{split}/{kind}/{n}.png", "patient": f"{split}-{kind}-{n}", "split": split}
        | {"label": "NORMAL" if kind == "NORMAL" else "PNEUMONIA"}
        | {"etiology": "" if kind == "NORMAL" else kind.lower(), "sha256": f"{split}{kind}{n}".encode().hex().zfill(64)}
        for split in ("train", "test")
        for kind in kinds
        for n in range(4)
    ]
    manifest = new_manifest(pd.DataFrame(rows), ManifestHeader(root="."), folder / "kinds.csv")
    write_manifest(manifest, folder / "kinds.csv")
    paths = [row["path"] for row in rows if row["split"] == "test"]
    cells = {kind: ",".join(str(0.8 if kind == other else 0.1) for other in kinds) for kind in kinds}
    (folder / "three.csv").write_text(
        "path,p_NORMAL,p_BACTERIAL,p_VIRAL\n" + "".join(f"{path},{cells[path.split('/')[1]]}\n" for path in paths)
    )
    as_they_are = ["import", "three.csv", "--name", "x", "--manifest", "kinds.csv", "--out", "runs/three"]
    code, _, err = cxr(*as_they_are)
    assert (code, "--task three-class" in err) == (2, True)
    assert cxr(*as_they_are, "--task", "three-class")[0] == 0
    info = read_bundle(folder / "runs" / "three").info
    assert (info.classes, info.task, info.manifest_hash) == (
        ("BACTERIAL", "NORMAL", "VIRAL"),
        "multiclass",
        manifest.hash,
    )
    code, out, _ = cxr("runs/three", "--manifest", "kinds.csv", "--out", "three-compared", "--json")
    assert (code, json.loads(out)["rows"][0]["metrics"]["accuracy"]["value"]) == (0, 1)
    code, _, err = cxr(*as_they_are, "--task", "four-class")
    assert (code, "unknown task" in err) == (2, True)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_an_imported_model_is_compared_without_images_and_its_unknown_training_is_a_caution(cxr, folder):
    cxr("import", "scores.csv", "--name", "resnet50", "--out", "runs/one")
    code, out, err = cxr("runs/one", "--out", "compared", "--json")
    assert code == 0
    document = json.loads(out)
    names = [row["name"] for row in document["rows"]]
    assert names == ["resnet50", "majority class"]
    assert document["rows"][0]["metrics"]["auc"]["value"] == 1
    assert any("byte count" in note for note in document["notes"])
    assert any("32x32 pixels" in note for note in document["notes"])
    assert "What resnet50 learned from is not known here" in err
    assert "What resnet50 learned from is not known here" in (folder / "compared" / "report.html").read_text()
