"""`cxr export verify` and `cxr web build`, as users call them: real runtimes, a real Chromium where there is one."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bundles import keras_bundle
from cxr.bundle import Bundle, Calibration, Threshold, read_bundle, write_bundle
from cxr.compare.parity.document import check_shippable
from cxr.compare.parity.nouns import KNOWN_DIFFERENCES, Runtime
from cxr.golden import golden_images
from cxr.webapp import static
from cxr.webapp.page import read_page

RunCxr = Callable[..., subprocess.CompletedProcess[str]]
FORMATS = "saved-model,tflite,tfjs-uint16,onnx"
needs_web_files = pytest.mark.skipif(
    not (static.FOLDER / static.BUILD_FILE).is_file(), reason="the web files are not built: make web"
)


def cxr(folder: Path, *arguments: str) -> None:
    """Run a command that has to end well."""
    command = [sys.executable, "-m", "cxr", *arguments]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with X-rays of two kinds (dark, bright), their manifest, a bundle trained on it, and its exports."""
    from cxr.local_baseline.tensorflow_setup import load

    work = tmp_path_factory.mktemp("work")
    rng = np.random.default_rng(0)
    for split, count in (("train", 64), ("test", 8)):
        for label, level in (("NORMAL", 90), ("PNEUMONIA", 150)):
            folder = work / "xrays" / split / label
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = np.clip(rng.normal(level, 40, (70, 80)), 0, 255).astype(np.uint8)
                name = f"person{number + 500 * (split == 'test')}_bacteria_{number}.jpeg"
                name = name if label == "PNEUMONIA" else f"IM-{number + 500 * (split == 'test'):04}-0001.jpeg"
                Image.fromarray(pixels).save(folder / name)
    cxr(work, "data", "scan", "xrays")
    cxr(work, "data", "split", "--validation", "0.2")
    keras = load().keras
    keras.utils.set_random_seed(3)
    image = keras.Input((32, 32, 1))
    x = keras.layers.Conv2D(8, 3, padding="same")(keras.layers.Rescaling(1 / 127.5, offset=-1.0)(image))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(keras.layers.BatchNormalization()(x)))
    model = keras.Model(image, keras.layers.Dense(1, activation="sigmoid")(x), name="tiny")
    header = json.loads((work / "manifest.json").read_text())
    calibration = Calibration("temperature", 1.7, "smallest cross-entropy", "validation", 40, 0.7, 0.6)
    keras_bundle(model, work / "runs" / "tiny", manifest_hash=header["content_hash"], calibration=calibration)
    cxr(work, "export", "runs/tiny", "--to", FORMATS)
    return work


@pytest.mark.slow
@needs_web_files
def test_faithful_exports_pass_in_every_runtime(run_cxr: RunCxr, work: Path) -> None:
    done = run_cxr("export", "verify", "runs/tiny", "--json", cwd=work)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    verdicts = {(check["format"], check["runtime"], check["signature"]): check["verdict"] for check in said["checks"]}
    chromium = {("tfjs-uint16", "Chromium", "")} & set(verdicts)
    assert verdicts == dict.fromkeys(
        {
            ("saved-model", "TensorFlow", "serving_default"),
            ("saved-model", "TensorFlow", "pixels"),
            ("tflite", "LiteRT", ""),
            ("tfjs-uint16", "Node", ""),
            ("onnx", "onnxruntime", ""),
            *chromium,
        },
        "passed",
    )
    assert said["golden_images"] == len(golden_images())
    assert said["split"] == "test"
    assert said["split_images"] == 16
    for check in said["checks"]:
        assert check["split"]["images"] == 16
        assert 0 <= check["split"]["mean"] <= check["split"]["largest"] < 1e-3
        assert check["cost"]["median_ms"] > 0
        assert check["bytes"] > 0
        others = KNOWN_DIFFERENCES.get(Runtime(check["runtime"]), {})
        if check["runtime"] == "Chromium" or check["signature"] == "serving_default":
            images = len(golden_images()) - len(others) + 16
            assert check["pixels"] == {"images": images, "largest": 0, "share": 0.0}
            assert [one.split()[0] for one in check["left_out"]] == sorted(others)
        else:
            assert (check["pixels"], check["left_out"]) == (None, [])
    assert "judged by themselves: cmyk.jpeg" in done.stderr
    written = json.loads((work / "runs" / "tiny-exports" / "verification.json").read_text())
    assert written["checks"] == said["checks"]
    assert "not a medical device" in done.stderr


@pytest.mark.slow
def test_without_a_split_nothing_has_passed_in_full(run_cxr: RunCxr, work: Path, tmp_path: Path) -> None:
    shutil.copytree(work / "runs", tmp_path / "runs")
    for name in ("saved-model", "tfjs-uint16", "onnx"):
        shutil.rmtree(tmp_path / "runs" / "tiny-exports" / name)
    done = run_cxr("export", "verify", "runs/tiny", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (check,) = json.loads(done.stdout)["checks"]
    assert check["verdict"] == "golden only"
    assert "only golden images were scored" in done.stderr
    said = check_shippable(read_bundle(tmp_path / "runs" / "tiny-exports" / "tflite"))
    assert said == "tflite was verified in LiteRT, on golden images only"


@pytest.fixture
def spoiled(work: Path, tmp_path: Path) -> Path:
    """The same folder with a TFLite export that is another model's."""
    from cxr.local_baseline.exports.tflite import convert
    from cxr.local_baseline.tensorflow_setup import load

    copy = tmp_path / "work"
    shutil.copytree(work, copy)
    keras = load().keras
    keras.utils.set_random_seed(9)
    image = keras.Input((32, 32, 1))
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 50)(image))
    other = keras.Model(image, keras.layers.Dense(1, activation="sigmoid")(x))
    export = read_bundle(copy / "runs" / "tiny-exports" / "tflite")
    export.model_path.write_bytes(convert(other))
    write_bundle(export.folder, replace(export.info, files=()))
    return copy


@pytest.mark.slow
def test_another_models_file_is_refused_until_it_is_allowed(run_cxr: RunCxr, spoiled: Path) -> None:
    for name in ("saved-model", "tfjs-uint16", "onnx"):
        shutil.rmtree(spoiled / "runs" / "tiny-exports" / name)
    refused = run_cxr("export", "verify", "runs/tiny", cwd=spoiled)
    assert refused.returncode == 5
    assert "tflite (LiteRT): golden images: off by up to" in refused.stderr
    assert "tflite: beyond the tolerance, and refused for shipping" in refused.stderr
    allowed = run_cxr("export", "verify", "runs/tiny", "--allow", "tflite", cwd=spoiled)
    assert allowed.returncode == 0, allowed.stderr
    assert "allowed" in allowed.stdout


@pytest.mark.slow
def test_a_file_that_no_runtime_can_load_fails_alone(run_cxr: RunCxr, work: Path, tmp_path: Path) -> None:
    shutil.copytree(work, tmp_path / "work")
    exports = tmp_path / "work" / "runs" / "tiny-exports"
    for name in ("saved-model", "tfjs-uint16"):
        shutil.rmtree(exports / name)
    broken = read_bundle(exports / "onnx")
    broken.model_path.write_bytes(b"not a model")
    write_bundle(broken.folder, replace(broken.info, files=()))
    done = run_cxr("export", "verify", "runs/tiny", "--json", cwd=tmp_path / "work")
    assert done.returncode == 5
    verdicts = {check["format"]: (check["verdict"], check["why"]) for check in json.loads(done.stdout)["checks"]}
    assert verdicts["tflite"] == ("passed", "")
    assert verdicts["onnx"][0] == "failed"
    assert "cannot load the model" in verdicts["onnx"][1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("runs/tiny", "--allow", "tflight"), 2, "there is no format 'tflight'"),
        (("runs/tiny", "--split", "train"), 2, "there is no split 'train' to judge on"),
        (("runs/tiny", "--exports", "nowhere"), 2, "there are no exports in nowhere"),
        (("xrays",), 2, "is not a bundle"),
    ],
    ids=["format", "split", "exports", "bundle"],
)
def test_what_cannot_be_verified_is_said(
    arguments: tuple[str, ...], code: int, words: str, run_cxr: RunCxr, work: Path
) -> None:
    done = run_cxr("export", "verify", *arguments, cwd=work)
    assert done.returncode == code
    assert words in done.stderr


@pytest.mark.slow
def test_exports_of_an_older_bundle_are_refused(run_cxr: RunCxr, work: Path, tmp_path: Path) -> None:
    shutil.copytree(work, tmp_path / "work")
    bundle = read_bundle(tmp_path / "work" / "runs" / "tiny")
    write_bundle(bundle.folder, replace(bundle.info, threshold=Threshold(0.6, "max-youden", "validation"), files=()))
    done = run_cxr("export", "verify", "runs/tiny", cwd=tmp_path / "work")
    assert done.returncode == 2
    assert "was not exported from runs/tiny as it is now" in done.stderr


@pytest.mark.slow
@needs_web_files
def test_a_page_is_built_from_a_bundle_with_its_training_images_and_their_look(run_cxr: RunCxr, work: Path) -> None:
    done = run_cxr("web", "build", "runs/tiny", "page", "--json", cwd=work)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["known_images"], said["has_gate"], said["has_maps"]) == (128, True, True)
    page = read_page(work / "page")
    named = {page["known"]["path"], f"{page['model']['path']}model.json"}
    assert {"index.html", "page.json", "service-worker.js"} | named <= set(said["files"])
    assert page["threshold"]["value"] == 0.5
    assert "the page has no figures" in done.stderr
    again = run_cxr("web", "build", "runs/tiny", "page", "--no-hashes", "--json", cwd=work)
    assert json.loads(again.stdout)["known_images"] == 0
    assert not list((work / "page" / "assets").glob("known-*.bin"))


@pytest.mark.slow
@needs_web_files
def test_a_page_is_not_built_over_other_files_nor_from_what_no_browser_runs(run_cxr: RunCxr, work: Path) -> None:
    refused = run_cxr("web", "build", "runs/tiny", "xrays", cwd=work)
    assert refused.returncode == 2
    assert "xrays holds other files than what page.json belongs to" in refused.stderr
    assert (work / "xrays" / "train").is_dir()
    other = run_cxr("web", "build", "runs/tiny-exports/tflite", "page-2", cwd=work)
    assert other.returncode == 2
    assert not (work / "page-2").exists()
    (work / "evaluation.json").write_text(json.dumps({"bundle": {"hash": "b" * 64}}))
    wrong = run_cxr("web", "build", "runs/tiny", "page-2", "--evaluation", "evaluation.json", cwd=work)
    assert wrong.returncode == 2
    assert "the evaluation is of another bundle" in wrong.stderr


@pytest.mark.slow
@needs_web_files
def test_what_failed_its_verification_is_not_shipped(run_cxr: RunCxr, work: Path, tmp_path: Path) -> None:
    shutil.copytree(work, tmp_path / "work")
    exports = tmp_path / "work" / "runs" / "tiny-exports"
    export = read_bundle(exports / "tfjs-uint16")
    check: dict[str, Any] = {"hash": export.hash, "verdict": "failed", "why": "off by 0.5", "runtime": "Node"}
    (exports / "verification.json").write_text(json.dumps({"checks": [check]}))
    refused = run_cxr("web", "build", "runs/tiny", "page-3", cwd=tmp_path / "work")
    assert refused.returncode == 5
    assert "tfjs-uint16 failed its verification (off by 0.5): it is not shipped" in refused.stderr
    assert run_cxr("web", "build", "runs/tiny", "page-3", "--allow", cwd=tmp_path / "work").returncode == 0


@pytest.mark.slow
def test_a_bundle_of_another_manifest_is_refused(run_cxr: RunCxr, work: Path, tmp_path: Path) -> None:
    shutil.copytree(work / "runs", tmp_path / "runs")
    bundle: Bundle = read_bundle(tmp_path / "runs" / "tiny")
    write_bundle(bundle.folder, replace(bundle.info, manifest_hash="c" * 64, files=()))
    manifest = str(work / "manifest.csv")
    refused = run_cxr("web", "build", "runs/tiny", "page", "--manifest", manifest, cwd=tmp_path)
    assert refused.returncode == 2
    assert "is not the manifest that runs/tiny was trained on" in refused.stderr
