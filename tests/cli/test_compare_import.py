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
