"""What the service's image models can be exported as: our names, the service's, the files, what each wants to be fed.

Sources: https://cloud.google.com/vertex-ai/docs/export/export-edge-model (formats and files) and the readers that
Google publishes for them (input scaling).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cxr.bundle import ModelFormat, Preprocessing
from cxr.errors import UsageError
from cxr.importing.contracts import AUTOML_PREPROCESSING


@dataclass(frozen=True, slots=True)
class ExportFormat:
    """One export format. `name` is ours and the folder in the bundle, `service_id` the service's.

    `model` is a glob of the model file in that folder ("" when the folder itself is the model), `marker` a glob of a
    file without which the export is not whole. `scored_as` is how the export itself runs it (None: it does not,
    but `cxr compare` scores tf-js), `eight_bit` whether its outputs are in steps of 1/256. `contract` is what the model
    takes and gives.
    """

    name: str
    service_id: str
    model: str
    marker: str
    scored_as: ModelFormat | None
    eight_bit: bool
    contract: Mapping[str, Any]


_EIGHT_BIT_INPUT = {"input": "uint8 [1, 224, 224, 3]", "output": "[1, classes]", "scale_inside_model": True}

EXPORT_FORMATS: dict[str, ExportFormat] = {
    one.name: one
    for one in (
        ExportFormat("tflite", "tflite", "*.tflite", "*.tflite", ModelFormat.TFLITE, True, _EIGHT_BIT_INPUT),
        ExportFormat(
            "saved-model",
            "tf-saved-model",
            "",
            "saved_model.pb",
            ModelFormat.SAVED_MODEL,
            False,
            {
                "inputs": {"image_bytes": "the file as it is: JPEG or PNG", "key": "any text, given back"},
                "outputs": ["scores", "labels", "key"],
                "decodes_inside_model": True,
                "scale_inside_model": True,
            },
        ),
        ExportFormat(
            "tf-js",
            "tf-js",
            "",
            "model.json",
            None,
            False,
            {
                "input": "image:0",
                "output": "scores:0",
                "scale": 1 / 127.5,
                "offset": -1.0,
                "scale_inside_model": False,
            },
        ),
        ExportFormat(
            "edgetpu-tflite",
            "edgetpu-tflite",
            "*.tflite",
            "*.tflite",
            ModelFormat.TFLITE,
            True,
            _EIGHT_BIT_INPUT | {"runs_on": "Coral Edge TPU"},
        ),
        ExportFormat(
            "core-ml",
            "core-ml",
            "*.mlmodel",
            "*.mlmodel",
            None,
            False,
            {"input": "as the .mlmodel itself describes it", "scale_inside_model": True, "runs_on": "Core ML"},
        ),
    )
}
DEFAULT_FORMATS = ("tflite", "tf-js")
#: Which of the exported formats a bundle is scored through, best first. The others travel with it.
SCORING_ORDER = ("tflite", "saved-model", "tf-js")


def parse_formats(names: Sequence[str]) -> tuple[ExportFormat, ...]:
    """The formats of the command line, each once, in order. Raises UsageError for none and for unknown ones."""
    wanted = list(dict.fromkeys(name.strip() for name in names if name.strip()))
    unknown = [name for name in wanted if name not in EXPORT_FORMATS]
    if unknown:
        raise UsageError(
            f"there is no export format {', '.join(unknown)}", hint=f"formats: {', '.join(EXPORT_FORMATS)}"
        )
    if not wanted:
        raise UsageError("no format is named", hint=f"--to {','.join(DEFAULT_FORMATS)}")
    if not set(wanted) & set(SCORING_ORDER):
        raise UsageError(
            f"a bundle cannot be made of {', '.join(wanted)} alone: nothing here reads it",
            hint=f"add one of {', '.join(SCORING_ORDER)}: --to {','.join(['tflite', *wanted])}",
        )
    return tuple(EXPORT_FORMATS[name] for name in wanted)


def scored_format(formats: Sequence[ExportFormat]) -> ExportFormat:
    """The one that the bundle is scored through."""
    names = {one.name for one in formats}
    return EXPORT_FORMATS[next(name for name in SCORING_ORDER if name in names)]


def preprocessing_of(one: ExportFormat) -> Preprocessing:
    """The contract of one format: all are fed the same pixels, and not all scale them inside the model."""
    return replace(AUTOML_PREPROCESSING, scale_inside_model=bool(one.contract["scale_inside_model"]))


def our_names(service_ids: Sequence[str]) -> tuple[str, ...]:
    """The service's format ids in our names; one that we do not know stays as it is."""
    names = {one.service_id: one.name for one in EXPORT_FORMATS.values()}
    return tuple(names.get(one, one) for one in service_ids)
