"""`cxr compare` as it is typed: table on stdout, words on stderr, one line and the right exit code for bad input."""

from __future__ import annotations

import importlib.util
import json
import sys
from functools import partial
from pathlib import Path

import pytest

HELPERS = Path(__file__).parents[1] / "compare" / "judged.py"


@pytest.fixture(scope="module")
def judged():
    """The functions that make manifests and bundles, which the tests of the comparison share."""
    pytest.importorskip("tensorflow", reason="scoring models needs the extra train")
    if "compare_judged" not in sys.modules:
        spec = importlib.util.spec_from_file_location("compare_judged", HELPERS)
        assert spec
        assert spec.loader
        sys.modules["compare_judged"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules["compare_judged"])
    return sys.modules["compare_judged"]


@pytest.fixture(scope="module")
def world(judged, tmp_path_factory):
    """A folder with a manifest and two bundles."""
    folder = tmp_path_factory.mktemp("cli-world")
    manifest = judged.make_manifest(folder, test_images=30)
    judged.keras_bundle(folder / "cnn5", manifest.hash)
    judged.tflite_bundle(folder / "edge", manifest.hash)
    return folder


@pytest.fixture
def cxr(world, monkeypatch, typed):
    """Run `cxr compare …` in the folder: (exit code, stdout, stderr)."""
    monkeypatch.chdir(world)
    return partial(typed, "compare")


def test_the_table_goes_to_stdout_and_the_report_is_named_on_stderr(cxr, world):
    code, out, err = cxr("cnn5", "edge", "--manifest", "manifest.csv", "--out", "compare")
    assert code == 0
    lines = out.splitlines()
    assert lines[0].split() == [
        *("model", "trained", "by", "accuracy", "%", "sensitivity", "%", "specificity", "%"),
        *("AUC", "MB", "ms/image", "threshold"),
    ]
    assert [line.split("  ")[0] for line in lines[2:7]] == [
        *("cnn5", "automl edge", "majority class", "byte count", "32x32 pixels")
    ]
    assert "AutoML (emulator stand-in)" in lines[3]
    assert f"report: {Path('compare/report.html')}" in err
    assert "next: open" in err
    assert "not by a cloud's AutoML service" in err
    assert "Research use, not a medical device" in err
    assert (world / "compare" / "report.html").is_file()
    assert (world / "compare" / "results.json").is_file()


def test_json_is_one_document_and_the_same_as_the_results_file(cxr, world):
    code, out, _ = cxr("cnn5", "--out", "as-json", "--json")
    assert code == 0
    document = json.loads(out)
    assert (document["schema"], document["schema_version"]) == ("cxr.comparison", 2)
    assert document == json.loads((world / "as-json" / "results.json").read_text())
    assert document["provenance"]["command"] == "cxr compare cnn5 --out as-json --json"


def test_quiet_leaves_nothing_but_warnings_on_stderr(cxr):
    code, out, err = cxr("cnn5", "--out", "in-silence", "--quiet")
    assert code == 0
    assert [line for line in err.splitlines() if not line.startswith("warning: cnn5 does not clear")] == []
    assert out.startswith("model")


def test_what_puts_figures_in_doubt_is_a_warning_and_is_told_in_silence_too(cxr, judged, world):
    from cxr.bundle import Threshold
    from cxr.manifests.manifest_file import read_manifest

    chosen = Threshold(0.5, "accuracy", "test", 0.97, 0.91)
    judged.keras_bundle(world / "tuned", read_manifest(world / "manifest.csv").hash, name="tuned", threshold=chosen)
    said = "warning: The threshold of tuned was chosen on the test images that it is judged on"
    for options in ((), ("--quiet",)):
        code, _, err = cxr("tuned", "--out", "tuned-out", *options)
        assert (code, said in err) == (0, True)
        assert "note: The threshold" not in err


def test_three_classes_have_a_table_of_their_own_and_no_threshold(cxr, judged, tmp_path):
    view = judged.make_three_class_view(tmp_path, test_images=60)
    judged.scores_bundle(tmp_path / "net", view, name="net", skill=2.0, seed=1)
    code, out, err = cxr(
        str(tmp_path / "net"), "--manifest", str(tmp_path / "manifest.csv"), "--out", str(tmp_path / "out")
    )
    assert code == 0
    assert "threshold" not in out
    assert "AUC of VIRAL against the rest" in out.splitlines()[0]
    assert len([line for line in out.splitlines() if line.startswith("class ")]) == 1
    for name in (*view.classes, "mean of the classes"):
        assert any(line.startswith(f"{name} ") and " net " in line for line in out.splitlines())
    assert "warning: What net learned from is not known here" in err


def test_images_may_be_named(cxr, world):
    code, _, _ = cxr("cnn5", "--images", str(world / "images"), "--cache", "fresh", "--out", "named")
    assert code == 0
    assert list((world / "fresh").glob("*.npy"))


def test_two_models_are_held_against_the_automl_one(cxr, world):
    code, out, err = cxr(
        "cnn5", "edge", "--out", "held", "--margin", "0.05", "--prevalence", "0.1", "--sensitivity", "0.9"
    )
    assert code == 0
    assert "difference in AUC to automl edge (emulator stand-in)  p (DeLong over patients; Holm)  verdict" in out
    reason = "the emulator's stand-in for the AutoML model"
    assert f"reference: automl edge (emulator stand-in), {reason}; differences in AUC, margin 0.05" in err
    assert "positive predictive value at a prevalence of 10.0 %" in out
    assert "specificity at a sensitivity of 90.0 % (oracle: chosen on these images)" in out
    document = json.loads((world / "held" / "results.json").read_text())
    (against,) = document["reference"]["models"]
    assert (document["reference"]["model"], against["model"]) == ("automl edge", "cnn5")
    assert against["verdict"] in {"better", "within the margin", "worse", "not shown"}
    assert against["verdict"] in out.splitlines()[-1]
    assert set(against["mcnemar"]) == {"accuracy", "sensitivity", "specificity"}
    assert {"p_value", "p_holm", "standard_error"} <= set(against["delong_patients"])
    points = document["rows"][0]["operating_points"]
    assert [point["name"] for point in points] == ["shipped", "half", "oracle"]
    assert [point["chosen_on_these_images"] for point in points] == [False, False, True]
    assert points[2]["metrics"]["sensitivity"]["value"] >= 0.9
    assert points[0]["proportions"]["accuracy"]["of"] == document["images"]
    recall = document["rows"][0]["recall_of_kinds"]["PNEUMONIA/"]["value"]
    assert recall == document["rows"][0]["metrics"]["sensitivity"]["value"]


def test_another_reference_turns_the_sign(cxr, world):
    assert cxr("cnn5", "edge", "--out", "one")[0] == 0
    assert cxr("cnn5", "edge", "--out", "other", "--reference", "cnn5", "--margin-metric", "accuracy")[0] == 0
    first, second = (json.loads((world / name / "results.json").read_text())["reference"] for name in ("one", "other"))
    assert (second["model"], second["measure"]) == ("cnn5", "accuracy")
    for measure in ("auc", "accuracy", "brier"):
        forth, back = (each["models"][0]["differences"][measure] for each in (first, second))
        assert forth["value"] == pytest.approx(-back["value"])
        assert forth["low"] == pytest.approx(-back["high"])
        assert forth["p_value"] == back["p_value"]


def test_one_model_alone_has_no_reference(cxr, world):
    code, out, err = cxr("cnn5", "--out", "alone")
    assert code == 0
    assert "difference" not in out
    assert "reference" not in err
    assert json.loads((world / "alone" / "results.json").read_text())["reference"] is None


def test_help_has_an_example(cxr):
    code, out, _ = cxr("--help")
    assert code == 0
    assert "Example: cxr compare" in " ".join(out.split())


@pytest.mark.parametrize(
    ("arguments", "code", "what", "next_step"),
    [
        pytest.param(
            ["images"], 2, "images is not a bundle: it has no bundle.json", "cxr baseline train", id="no bundle"
        ),
        pytest.param(["gone"], 2, "gone is not a bundle", "cxr baseline train", id="no folder"),
        pytest.param(
            ["cnn5", "--manifest", "gone.csv"], 2, "there is no manifest gone.csv", "cxr data scan", id="no manifest"
        ),
        pytest.param(["cnn5", "cnn5"], 2, "are the same bundle", None, id="the same bundle twice"),
        pytest.param(
            ["cnn5", "--images", "gone", "--cache", "empty"],
            2,
            "there is no folder of images gone",
            "--images",
            id="no images",
        ),
        pytest.param(
            ["cnn5", "edge", "--reference", "vgg16"],
            2,
            "--reference vgg16 is none of the models",
            "cnn5",
            id="reference",
        ),
        pytest.param(["cnn5", "--margin", "2"], 2, "--margin 2", "--margin 0.02", id="margin"),
        pytest.param(["cnn5", "--margin-metric", "f2"], 2, "there is no such measure", "auc", id="measure"),
        pytest.param(["cnn5", "--prevalence", "30"], 2, "--prevalence 30", "--prevalence 0.2", id="prevalence"),
        pytest.param(
            ["cnn5", "--out", "manifest.csv"], 2, "manifest.csv is not a folder", "--out DIR", id="out is a file"
        ),
    ],
)
def test_bad_input_is_met_with_one_line_a_hint_and_its_exit_code(cxr, arguments, code, what, next_step):
    left, out, err = cxr(*arguments)
    assert left == code
    assert out == ""
    lines = err.splitlines()
    assert what in lines[0]
    assert "Traceback" not in err
    assert len(lines) <= 2
    if next_step:
        assert lines[1].startswith("  next: ")
        assert next_step in lines[1]


def test_no_bundle_at_all_is_a_usage_error(cxr):
    code, _, err = cxr()
    assert code == 2
    assert "BUNDLE" in err


def test_a_bundle_of_another_manifest_exits_with_5_and_names_both_hashes(cxr, judged, world):
    theirs = judged.read_manifest(world / "manifest.csv")
    ours = judged.make_manifest(world / "other", test_images=12, seed=8)
    code, out, err = cxr("cnn5", "--manifest", "other/manifest.csv", "--out", "refused")
    assert (code, out) == (5, "")
    first, second = err.splitlines()
    assert first.startswith("not comparable: cnn5 was trained on the manifest ")
    assert theirs.hash[:12] in first
    assert ours.hash[:12] in first
    assert "--manifest" in second
    assert not (world / "refused").exists()


def test_a_changed_model_file_is_refused(cxr, judged, world):
    manifest = judged.read_manifest(world / "manifest.csv")
    bundle = judged.tflite_bundle(world / "changed", manifest.hash)
    (bundle.folder / "model.tflite").write_bytes(b"something else")
    code, _, err = cxr("changed")
    assert code == 2
    assert "has changed since the bundle was written" in err
