"""What stands in for Autopilot's models: their image's name, their model archives, and the program that scores with
them. It is not Amazon's model, and says so wherever there is room for a word."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cxr.about import RESEARCH_USE
from cxr.archives import unpack_tar
from cxr.cloud.aws.local.jobs.objects import read_object, split_uri
from cxr.cloud.aws.local.jobs.programs import run_program
from cxr.cloud.aws.local.jobs.work import JobFailedError, Work
from cxr.cloud.aws.local.settings import ACCOUNT
from cxr.errors import InputError

NAME = "cxr-stand-in"
DESCRIPTION = f"Trained by cxr's stand-in for Autopilot, not by Amazon. {RESEARCH_USE}."
LABELS_FILE = "labels.json"
#: What the containers of a classification can say, and say unless told otherwise (developer guide, "Configure inference
#: output in generated containers").
SUPPORTED = ("predicted_label", "probability", "probabilities", "labels")
DEFAULT_OUTPUT = "predicted_label"


def image_uri(region: str) -> str:
    """The image's name, which no registry has."""
    return f"{ACCOUNT}.dkr.ecr.{region}.amazonaws.com/{NAME}:1"


def container(region: str, model_uri: str) -> dict[str, Any]:
    """The inference container of a stand-in's model (API reference: AutoMLContainerDefinition)."""
    return {
        "Image": image_uri(region),
        "ModelDataUrl": model_uri,
        "Environment": {
            "SAGEMAKER_INFERENCE_OUTPUT": DEFAULT_OUTPUT,
            "SAGEMAKER_INFERENCE_SUPPORTED": ",".join(SUPPORTED),
            "SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT": "application/json",
            "CXR_STAND_IN": DESCRIPTION,
        },
    }


def unpack_model(client: Any, model: Mapping[str, Any], folder: Path) -> list[str]:
    """A model's files into a folder; its labels. Raises JobFailedError for any model but a stand-in's."""
    if f"/{NAME}:" not in str(model.get("Image", "")):
        raise JobFailedError(
            "ClientError: images cannot be pulled here: only models of the stand-in for Autopilot can be used, "
            f"not {model.get('Image')}"
        )
    content = read_object(client, *split_uri(str(model["ModelDataUrl"])))
    try:
        unpack_tar(io.BytesIO(content), folder, name=str(model["ModelDataUrl"]))
        labels: list[str] = json.loads((folder / LABELS_FILE).read_text(encoding="utf-8"))
    except (InputError, OSError, ValueError) as error:
        raise JobFailedError(f"ClientError: {model['ModelDataUrl']} is not a model: {error}") from error
    return labels


def score(
    work: Work, command: Sequence[str], model: Path, images: Sequence[Path], folder: Path
) -> list[dict[str, Any]]:
    """For each image {"scores": one for each label} or {"error": words}. Raises JobFailedError when the program
    fails."""
    instances, scores = folder / "instances.jsonl", folder / "scores.jsonl"
    with instances.open("w", encoding="utf-8") as stream:
        for image in images:
            stream.write(json.dumps({"content": base64.b64encode(image.read_bytes()).decode()}) + "\n")
    argv = [*command, "--model", str(model), "--instances", str(instances), "--scores", str(scores)]
    ended = run_program(work, argv, folder)
    if ended.returncode != 0 or not scores.is_file():
        raise JobFailedError(f"AlgorithmError: {ended.last_words}, exit code: {ended.returncode}")
    return [json.loads(line) for line in scores.read_text(encoding="utf-8").splitlines()]


def prediction(labels: Sequence[str], scores: Sequence[float], keys: Sequence[str]) -> dict[str, Any]:
    """One image's answer, with the keys that SAGEMAKER_INFERENCE_OUTPUT names, in their order."""
    best = max(range(len(labels)), key=lambda index: scores[index])
    fields = {
        "predicted_label": labels[best],
        "probability": scores[best],
        "probabilities": list(scores),
        "labels": list(labels),
    }
    return {key: fields[key] for key in keys}
