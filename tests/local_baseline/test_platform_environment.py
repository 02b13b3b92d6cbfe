"""What Vertex AI, SageMaker and nobody say to a trainer, and a real training in SageMaker's folders."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cxr.bundle import read_bundle
from cxr.errors import UsageError
from cxr.local_baseline.platform_environment import HERE, SAGEMAKER, VERTEX, JobEnvironment, read_environment
from cxr.local_baseline.trainer import fetch_manifest, main, parse_options
from cxr.local_baseline.training.distribution import Cluster, cluster_of
from cxr.manifests.manifest import Manifest

FOREIGN = ("AIP_", "SM_", "TF_CONFIG", "TRAINING_JOB_NAME", "SAGEMAKER_")


def run_trainer(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    command = [sys.executable, "-m", "cxr.local_baseline.trainer", *arguments]
    return subprocess.run(command, env=clean | environment, capture_output=True, text=True, timeout=500, check=False)


def test_vertex_says_it_in_variables() -> None:
    job = read_environment(
        {"AIP_MODEL_DIR": "gs://b/model/", "AIP_CHECKPOINT_DIR": "gs://b/checkpoints/", "TF_CONFIG": "{}"}
    )
    assert job == JobEnvironment(VERTEX, "gs://b/model", "gs://b/checkpoints", cluster="{}")


def test_nobody_says_nothing() -> None:
    assert read_environment({"PATH": "/bin"}) == JobEnvironment(HERE)


def test_a_bare_sagemaker_container_finds_all_in_files(tmp_path: Path) -> None:
    config = tmp_path / "input" / "config"
    config.mkdir(parents=True)
    # As the service writes them: everything is text, and Amazon's SDK has put JSON into it.
    parameters = {"recipe": '"cnn5"', "epochs": "3", "dropout": "0.1"}
    parameters |= {"sagemaker_program": '"x.py"', "_tuning_objective_metric": "auc"}
    (config / "hyperparameters.json").write_text(json.dumps(parameters))
    (config / "resourceconfig.json").write_text(json.dumps({"current_host": "algo-2", "hosts": ["algo-2", "algo-1"]}))
    (tmp_path / "input" / "data" / "training").mkdir(parents=True)
    job = read_environment({"TRAINING_JOB_NAME": "job", "SAGEMAKER_BASE_DIR": str(tmp_path)})
    assert job.platform is SAGEMAKER
    assert (job.model, job.checkpoints) == (str(tmp_path / "model"), str(tmp_path / "checkpoints"))
    assert (job.extra_output, job.failure) == (str(tmp_path / "output/data"), tmp_path / "output/failure")
    assert job.parameters == {"recipe": "cnn5", "epochs": "3", "dropout": "0.1"}
    assert job.channels == {"training": tmp_path / "input/data/training"}
    assert json.loads(job.cluster) == {
        "cluster": {"chief": ["algo-1:8890"], "worker": ["algo-2:8890"]},
        "task": {"type": "worker", "index": 0},
    }
    assert cluster_of(job.cluster) == Cluster(2, 1)


def test_amazons_toolkit_says_it_in_variables_and_on_the_command_line() -> None:
    job = read_environment(
        {
            "SM_MODEL_DIR": "/opt/ml/model",
            "SM_HPS": json.dumps({"recipe": "cnn5", "batch_size": 16, "optimizer.learning_rate": 0.001, "epochs": 3}),
            "SM_CHANNEL_XRAYS": "/data/xrays",
            "SM_HOSTS": '["algo-1"]',
            "SM_CURRENT_HOST": "algo-1",
        }
    )
    assert job.cluster == ""
    assert job.channels == {"xrays": Path("/data/xrays")}
    words = ["--batch_size", "16", "--epochs", "3", "--optimizer.learning_rate", "0.001", "--recipe", "cnn5"]
    for given in (words, ["train"], [*words, "--seed", "5"]):
        options = parse_options(given, job)
        assert (options.recipe, options.epochs, options.output) == ("cnn5", 3, "/opt/ml/model")
        assert options.overrides == {"optimizer.learning_rate": 0.001, "batch_size": 16}
        assert options.seed == (5 if "--seed" in given else 7)


def test_switches_are_hyperparameters_with_a_value() -> None:
    def read(value: object) -> tuple[bool, bool]:
        hps = json.dumps({"recipe": "cnn5", "deterministic": value, "verify-cache": value})
        job = read_environment({"SM_MODEL_DIR": "/m", "SM_HPS": hps})
        options = parse_options(["--deterministic", str(value)], job)
        return options.deterministic, options.verify_cache

    assert read("true") == read(True) == (True, True)
    assert read("false") == (False, False)
    with pytest.raises(UsageError, match="deterministic=perhaps: it takes true or false"):
        read("perhaps")


def test_of_what_both_say_the_hyperparameter_counts() -> None:
    job = read_environment({"SM_MODEL_DIR": "/m", "SM_HPS": json.dumps({"recipe": "cnn5", "epochs": 3})})
    assert parse_options(["--epochs", "9"], job).epochs == 3


def test_an_environment_that_cannot_be_read_is_told_as_the_failure(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        main([], {"SM_HPS": "{", "SAGEMAKER_BASE_DIR": str(tmp_path)})
    assert "SM_HPS cannot be read" in (tmp_path / "output" / "failure").read_text()


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"SM_HPS": "{"}, "SM_HPS cannot be read"),
        ({"SM_HPS": "[1]"}, "SM_HPS is not a JSON object"),
        ({"SM_HOSTS": '["a", "b"]', "SM_CURRENT_HOST": "c"}, "none of the job's hosts: a, b"),
    ],
    ids=["torn", "list", "host"],
)
def test_what_cannot_be_read_is_said(variables: dict[str, str], words: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=words):
        read_environment({"SM_MODEL_DIR": "/m", "SAGEMAKER_BASE_DIR": str(tmp_path), **variables})


def test_a_manifest_of_a_bucket_beside_copies_is_one_of_the_copies(small_manifest: Manifest, tmp_path: Path) -> None:
    copy_as_channel(small_manifest, tmp_path)
    sidecar = tmp_path / "manifest.json"
    sidecar.write_text(json.dumps(json.loads(sidecar.read_text()) | {"root": "s3://bucket/xrays"}))
    assert fetch_manifest(str(tmp_path / "manifest.csv"), tmp_path)[1] == str(tmp_path)


def copy_as_channel(manifest: Manifest, channel: Path) -> None:
    """The manifest and its images, as the service copies them out of a bucket."""
    shutil.copytree(manifest.root, channel, dirs_exist_ok=True)


@pytest.mark.slow
def test_a_training_in_sagemakers_folders(small_manifest: Manifest, cache_dir: Path, tmp_path: Path) -> None:
    config = tmp_path / "input" / "config"
    config.mkdir(parents=True)
    (tmp_path / "model").mkdir()  # made by the service, maybe a mount
    copy_as_channel(small_manifest, tmp_path / "input" / "data" / "training")
    parameters = {"recipe": '"cnn5"', "epochs": "1", "batch-size": "12", "cache-dir": json.dumps(str(cache_dir))}
    (config / "hyperparameters.json").write_text(json.dumps(parameters))
    variables = {"TRAINING_JOB_NAME": "job-1", "SAGEMAKER_BASE_DIR": str(tmp_path)}
    ran = run_trainer("train", **variables)
    assert ran.returncode == 0, ran.stderr
    info = read_bundle(tmp_path / "model").info
    assert (info.provenance["recipe"], info.provenance["overrides"]) == ("cnn5", {"batch_size": 12})
    assert "epoch 1/1 loss" in ran.stdout
    assert (tmp_path / "output" / "data" / "training.csv").read_text().startswith("stage,epoch,")
    assert len(list((tmp_path / "checkpoints").glob("cxr-*.npz"))) == 1
    assert not (tmp_path / "output" / "failure").exists()
    (config / "hyperparameters.json").write_text(json.dumps({"recipe": "resnet"}))
    failed = run_trainer("train", **variables)
    assert failed.returncode == 2
    assert "there is no recipe 'resnet'" in (tmp_path / "output" / "failure").read_text()
