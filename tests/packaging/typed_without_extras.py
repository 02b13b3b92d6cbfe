"""Run in the lean environment: prepare a folder, type every case, print what came of each as JSON.

All in one process and with the command line built once, since each would load and build the same; a slow test types
them one by one.
"""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import sys
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import typer
from commands_without_extras import CASES
from PIL import Image

from bundles import model_info
from cxr.bundle import Bundle, BundleInfo, write_bundle
from cxr.cli.main import main
from cxr.cloud.jobs.journal import Job, Journal
from cxr.cloud.plans.launch import JobKind
from cxr.manifests.manifest_file import read_manifest
from cxr.settings import Target

JOB = Job("custom-1", JobKind.CUSTOM, Target.GCP, "my-project", "us-central1", "some-bucket", "cxr", "a" * 64, "f" * 16)


def prepare(figures: Path) -> None:
    """A manifest, a bundle of a model that nobody can load here, scores, and jobs on either cloud."""
    for split, label, number in product(("train", "val", "test"), ("NORMAL", "PNEUMONIA"), range(4)):
        folder = Path("images", split, label)
        folder.mkdir(parents=True, exist_ok=True)
        grey = 40 * number + 10 * len(label) + len(split)
        Image.new("L", (32 + number, 32), grey).save(folder / f"person{grey}_{number}.png")
    for line in ("data scan images -q", "data split -q"):
        done = typed(line.split())
        assert done["code"] == 0, done["err"]
    manifest = read_manifest(Path("manifest.csv"))
    model = model_info(manifest_hash=manifest.hash, name="keras")
    source = bundle("runs/keras", model)
    bundle("runs/keras-exports/saved-model", replace(model, provenance={"exported_from": source.hash}))
    scores = [f"{path},0.5" for path in manifest.frame["path"]]
    Path("scores.csv").write_text("\n".join(["path,score", *scores]) + "\n", encoding="utf-8")
    shutil.copy(figures, "figures.toml")
    Path("elsewhere").mkdir()
    Path("elsewhere/model.tflite").write_bytes(b"\x1c\x00\x00\x00TFL3" + bytes(64))
    Path("page").mkdir()
    Path("page/page.json").write_text("{}", encoding="utf-8")
    journal = Journal(Path(".cxr/jobs.jsonl"))
    running = replace(JOB, resource="projects/1/locations/us-central1/customJobs/1", state="RUNNING")
    journal.add(running)
    amazon = {
        "on": Target.AWS,
        "project": "123456789012",
        "region": "us-east-1",
        "resource": "arn:aws:sagemaker:us-east-1:1:training-job/x",
    }
    journal.add(replace(running, id="custom-2", state="SUCCEEDED", **amazon))
    journal.add(replace(running, id="custom-4", **amazon))
    journal.add(replace(running, id="automl-3", kind=JobKind.AUTOML, state="SUCCEEDED"))
    journal.add(replace(running, id="tune-1", kind=JobKind.TUNE))


def bundle(place: str, info: BundleInfo) -> Bundle:
    """A bundle of a model that no environment can load."""
    folder = Path(place)
    folder.mkdir(parents=True)
    (folder / info.model_path).write_bytes(b"not a model")
    return write_bundle(folder, info)


def typed(line: list[str]) -> dict[str, Any]:
    """What a command prints and ends with, by the whole of `main`."""
    out, err, sys.argv = io.StringIO(), io.StringIO(), ["cxr", *line]
    code: Any = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as left:
            code = left.code or 0
    return {"line": line, "code": code, "out": out.getvalue(), "err": err.getvalue()}


if __name__ == "__main__":
    sys.modules["cxr.cli.main"].app = typer.main.get_command(sys.modules["cxr.cli.main"].app)
    prepare(Path(sys.argv[1]))
    json.dump([typed(case.line) for case in CASES], sys.stdout)
