"""`cxr baseline` as a user types it."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cxr.bundle import read_bundle
from cxr.local_baseline.recipes.search_space import read_space
from cxr.manifests.manifest import BLANK_ROW, ManifestHeader, new_manifest
from cxr.manifests.manifest_file import write_manifest

RunCxr = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with manifest.csv and 32 small images, dark ones and bright ones."""
    folder = tmp_path_factory.mktemp("work")
    rows = []
    for split, label, number in (
        (split, label, number)
        for split, count in (("train", 8), ("validation", 4), ("test", 4))
        for label in ("NORMAL", "PNEUMONIA")
        for number in range(count)
    ):
        path = folder / "xrays" / split / label / f"{label}{number}.jpeg"
        path.parent.mkdir(parents=True, exist_ok=True)
        level = 60 if label == "NORMAL" else 190
        noise = np.random.default_rng(number).normal(level, 20, (60, 70))
        Image.fromarray(np.clip(noise, 0, 255).astype(np.uint8)).save(path)
        row = BLANK_ROW | {"width": 70, "height": 60, "size": path.stat().st_size}
        name = path.relative_to(folder / "xrays").as_posix()
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        rows.append(row | {"path": name, "label": label, "split": split, "patient": name, "sha256": digest})
    location = folder / "manifest.csv"
    write_manifest(new_manifest(pd.DataFrame(rows), ManifestHeader(root="xrays"), location), location)
    return folder


@pytest.mark.slow
def test_train_then_train_again_then_evaluate(work: Path, run_cxr: RunCxr) -> None:
    arguments = ("baseline", "train", "--recipe", "edge", "--epochs", "1", "--set", "dropout=0.1", "--json")
    trained = run_cxr(*arguments, cwd=work)
    assert trained.returncode == 0, trained.stderr
    document = json.loads(trained.stdout)
    assert document["schema"] == "cxr.baseline.train"
    assert document["provenance"]["recipe"] == "edge"
    assert "epoch 1/1 loss" in trained.stderr
    assert "next: cxr baseline evaluate runs/edge" in trained.stderr
    assert document["provenance"]["overrides"] == {"dropout": 0.1}
    again = run_cxr(*arguments, cwd=work)
    assert json.loads(again.stdout)["hash"] == document["hash"]
    assert "nothing was trained" in again.stderr
    assert "epoch 1/1" not in again.stderr
    judged = run_cxr("baseline", "evaluate", "runs/edge", "--json", cwd=work)
    assert judged.returncode == 0, judged.stderr
    result = json.loads(judged.stdout)
    assert result["images"] == 8
    assert np.sum(result["confusion"]) == 8
    assert {"accuracy", "sensitivity", "specificity", "auc"} <= set(result["metrics"])
    assert read_bundle(work / "runs" / "edge").hash == document["hash"]
    words = run_cxr("baseline", "evaluate", "runs/edge", "--quiet", cwd=work)
    assert words.stderr == ""
    assert "sensitivity" in words.stdout
    robust = run_cxr(
        "baseline", "robustness", "runs/edge", "--corruption", "blur", "--csv", "r.csv", "--json", cwd=work
    )
    assert robust.returncode == 0, robust.stderr
    (of_bundle,) = json.loads(robust.stdout)["bundles"]
    assert [score["corruption"] for score in of_bundle["scores"]] == ["blur"]
    assert set(of_bundle["summary"]) == {"mean_auc", "mean_accuracy", "pooled_auc"}
    assert len((work / "r.csv").read_text().splitlines()) == 2
    assert "not a medical device" in robust.stderr


def test_recipes_are_listed(run_cxr: RunCxr) -> None:
    ran = run_cxr("baseline", "recipes")
    assert ran.returncode == 0
    for name in ("cnn5", "mobilenet-v2", "edge", "150x150x1", "393,521", "imagenet, none or a .h5 file"):
        assert name in ran.stdout
    listed = json.loads(run_cxr("baseline", "recipes", "--json").stdout)
    assert {"dense", "cnn3", "cifar-cnn", "resnet50-frozen"} <= {recipe["name"] for recipe in listed["recipes"]}


@pytest.mark.slow
def test_a_recipe_is_shown_in_full_and_as_a_file_that_trains(work: Path, run_cxr: RunCxr) -> None:
    shown = run_cxr("baseline", "recipes", "cnn3-augmented")
    assert shown.returncode == 0
    for words in ("rmsprop 0.0001", "rotation 15", "no horizontal flip", "differs from its source"):
        assert words in shown.stdout
    flagship = run_cxr("baseline", "recipes", "flagship").stdout
    for words in (
        "etiology",
        "weight average",
        "the last epoch is kept",
        "batch norm trained",
        "weight decay 0.01",
        "warmup share 0.05",
    ):
        assert words in flagship
    (work / "space.toml").write_text(run_cxr("baseline", "recipes", "dense", "--space").stdout)
    space = read_space(work / "space.toml")
    assert (space.recipe, space.parameters[0].id) == ("dense", "learning-rate")
    printed = run_cxr("baseline", "recipes", "dense", "--toml")
    assert "cxr baseline train --recipe my.toml" in printed.stderr
    (work / "my.toml").write_text(printed.stdout.replace("batch_size = 64", "batch_size = 8"))
    trained = run_cxr("baseline", "train", "--recipe", "my.toml", "--epochs", "1", "--json", cwd=work)
    assert trained.returncode == 0, trained.stderr
    provenance = json.loads(trained.stdout)["provenance"]
    assert (provenance["recipe"], provenance["parameters"]) == ("my-dense", 393_521)
    assert (work / "runs" / "my-dense" / "bundle.json").is_file()
    (work / "bad.toml").write_text('base = "dense"\nbatch_size = 0\n')
    refused = run_cxr("baseline", "train", "--recipe", "bad.toml", cwd=work)
    assert refused.returncode == 2
    assert "bad.toml: batch_size=0: it takes a whole number" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("train", "--recipe", "resnet"), "the recipes are: dense, dense-l2, cnn3"),
        (("train", "--manifest", "gone.csv"), "there is no manifest gone.csv"),
        (("train", "--images", "nowhere"), "there is no folder of images nowhere"),
        (("train", "--recipe", "mobilenet-v2", "--weights", "gone.h5"), "there is no weights file gone.h5"),
        (("train", "--epochs", "0"), "at least one is needed"),
        (("recipes", "resnet"), "the recipes are: dense, dense-l2, cnn3"),
        (("recipes", "--toml"), "--toml writes one recipe"),
        (("recipes", "dense", "--toml", "--space"), "--toml and --space are two files"),
        (("train", "--seed", "4294967296"), "the seed 4294967296: it takes a whole number, 0 to 4294967295"),
        (("train", "--set", "batch_size=0"), "batch_size=0: it takes a whole number, 1 to 4096"),
        (("train", "--set", "unfreeze_layers=3"), "no stage of cnn5 has it"),
        (("evaluate", "xrays"), "is not a bundle"),
        (("robustness", "xrays", "--corruption", "fog"), "there is no corruption 'fog'"),
        (("robustness", "xrays"), "is not a bundle"),
    ],
    ids=[
        "recipe",
        "manifest",
        "images",
        "weights",
        "epochs",
        "shown",
        "toml",
        "two files",
        "seed",
        "value",
        "stage",
        "bundle",
        "corruption",
        "robust",
    ],
)
def test_bad_input_is_one_line_what_next_and_exit_code_2(
    work: Path, run_cxr: RunCxr, arguments: tuple[str, ...], words: str
) -> None:
    ran = run_cxr("baseline", *arguments, cwd=work)
    assert ran.returncode == 2
    assert words in ran.stderr
    assert "Traceback" not in ran.stderr


def test_help_shows_an_example(run_cxr: RunCxr) -> None:
    for command in ("train", "evaluate", "recipes", "robustness"):
        assert "Example: cxr baseline" in run_cxr("baseline", command, "--help").stdout
