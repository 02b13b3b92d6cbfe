"""`cxr baseline tune` and `explain` as a user types them."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from small_folder import draw_kaggle_folder

RunCxr = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with xrays/ and manifest.csv."""
    work = tmp_path_factory.mktemp("search")
    draw_kaggle_folder(work / "xrays")
    for line in ("data scan xrays --quiet", "data split --quiet"):
        subprocess.run([sys.executable, "-m", "cxr", *line.split()], cwd=work, check=True, capture_output=True)
    return work


@pytest.mark.slow
def test_a_search_its_plot_and_the_command_for_the_best(folder: Path, run_cxr: RunCxr) -> None:
    arguments = ("baseline", "tune", "--recipe", "dense", "--trials", "2", "--epochs", "1")
    ran = run_cxr(*arguments, "--json", cwd=folder)
    assert ran.returncode == 0, ran.stderr
    document = json.loads(ran.stdout)
    assert document["schema"] == "cxr.baseline.tune"
    assert sorted(trial["trial"] for trial in document["trials"]) == [0, 1]
    assert "optimizer.learning_rate" in next(t for t in document["trials"] if t["trial"] == 1)["parameters"]
    assert "trial 0: val_auc" in ran.stderr
    assert "Research use, not a medical device" in ran.stderr
    place = folder / "runs" / "tune-dense"
    assert {"trials.csv", "tuning.json", "tuning.png", "best.toml"} <= {path.name for path in place.iterdir()}
    with Image.open(place / "tuning.png") as plot:
        assert min(plot.size) > 400
    again = run_cxr(*arguments, cwd=folder)
    assert "no trial was made" in again.stderr
    assert again.stdout.splitlines()[0].split() == ["trial", "val_auc", "state", "epochs", "seconds", "parameters"]
    command = next(line for line in again.stderr.splitlines() if line.startswith("next: ")).removeprefix("next: ")
    assert command == document["command"]
    trained = run_cxr(*shlex.split(command)[1:], "--json", cwd=folder)
    assert trained.returncode == 0, trained.stderr
    best = json.loads(trained.stdout)
    figure = next(t for t in document["trials"] if t["trial"] == document["best_trial"])["value"]
    assert best["provenance"]["validation_auc"] == pytest.approx(figure, abs=0.1)


@pytest.fixture(scope="module")
def bundle(folder: Path) -> Path:
    """A net that has hardly learned anything: it makes mistakes."""
    line = "baseline train --recipe cnn3 --epochs 1 --quiet --set optimizer.learning_rate=1e-7"
    subprocess.run([sys.executable, "-m", "cxr", *line.split()], cwd=folder, check=True, capture_output=True)
    return folder / "runs" / "cnn3"


@pytest.mark.slow
def test_images_are_explained_with_truth_from_the_manifest(folder: Path, bundle: Path, run_cxr: RunCxr) -> None:
    images = sorted((folder / "xrays" / "test").glob("*/*.jpeg"))[:2]
    named = [path.relative_to(folder).as_posix() for path in images]
    ran = run_cxr("baseline", "explain", "runs/cnn3", *named, "--class", "PNEUMONIA", cwd=folder)
    assert ran.returncode == 0, ran.stderr
    assert all(name in ran.stdout for name in named)
    assert "page: runs/cnn3-explained/explain.html" in ran.stderr
    place = folder / "runs" / "cnn3-explained"
    data = json.loads((place / "explain.json").read_text())
    assert [image["truth"] for image in data["images"]] == [path.parent.name for path in images]
    assert {image["target"] for image in data["images"]} == {"PNEUMONIA"}
    with Image.open(place / data["images"][0]["overlay"]) as overlay, Image.open(images[0]) as original:
        assert overlay.size[0] > original.size[0]
        assert overlay.size[1] > original.size[1]
    assert not [path for path in bundle.iterdir() if "explain" in path.name]


@pytest.mark.slow
def test_the_surest_mistakes_come_first(folder: Path, bundle: Path, run_cxr: RunCxr) -> None:
    ran = run_cxr(
        "baseline", "explain", "runs/cnn3", "--mistakes", "3", "--out", "why", "--layers", "", "--json", cwd=folder
    )
    assert ran.returncode == 0, ran.stderr
    images = json.loads(ran.stdout)["images"]
    for image in images:
        assert image["called"] != image["truth"]
    surety = [image["probabilities"][image["called"]] for image in images]
    assert surety == sorted(surety, reverse=True)
    judged = run_cxr("baseline", "evaluate", "runs/cnn3", "--json", cwd=folder)
    confusion = json.loads(judged.stdout)["confusion"]
    assert len(images) == min(3, confusion[0][1] + confusion[1][0])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("explain", "runs/cnn3"), "name image files, or --mistakes"),
        (("explain", "runs/cnn3", "gone.png"), "there is no image gone.png"),
        (("explain", "runs/cnn3", "--mistakes", "0"), "at least one"),
        (("explain", "runs/cnn3", "--mistakes", "1", "--class", "COVID"), "its classes are: NORMAL, PNEUMONIA"),
        (("explain", "runs/cnn3", "manifest.csv"), "manifest.csv is not an image"),
        (("explain", "xrays", "--mistakes", "1"), "is not a bundle"),
        (("tune", "--recipe", "resnet"), "there is no recipe 'resnet'"),
        (("tune", "--minutes", "0"), "0 minutes"),
        (("tune", "--metric", "accuracy"), "there are: val_auc, val_loss"),
        (("tune", "--space", "gone.toml"), "cannot read the search space gone.toml"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_bad_input_is_one_line_and_exit_code_2(
    folder: Path, bundle: Path, run_cxr: RunCxr, arguments: tuple[str, ...], words: str
) -> None:
    ran = run_cxr("baseline", *arguments, cwd=folder)
    assert ran.returncode == 2, ran.stderr
    assert words in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.slow
def test_a_wrong_layer_lists_the_layers(folder: Path, bundle: Path, run_cxr: RunCxr) -> None:
    image = next((folder / "xrays").glob("test/*/*.jpeg")).relative_to(folder).as_posix()
    ran = run_cxr("baseline", "explain", "runs/cnn3", image, "--layers", "nothing", cwd=folder)
    assert ran.returncode == 2
    assert "its layers that give maps are: " in ran.stderr
    assert "conv" in ran.stderr
