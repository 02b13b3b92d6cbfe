"""The formats of `cxr export`, as a table."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec

from cxr.bundle import ModelFormat
from cxr.errors import MissingPackage, UsageError, missing_package
from cxr.local_baseline.exports.nouns import Format, Tolerance

EXPORTERS = "cxr.local_baseline.exports"
TRAIN = ("tensorflow", "keras")
ALL = "all"

#: What a float32 format may be off by: the order in which sums are added up.
FLOAT32 = Tolerance(1e-4)
SIXTEEN_BITS = Tolerance(1e-3)
FLOAT16 = Tolerance(0.02, mean=1e-3)
EIGHT_BIT_WEIGHTS = Tolerance(0.2, mean=5e-3, flipped=0.005)
EIGHT_BITS = Tolerance(1.0, mean=0.02, flipped=0.01)

_TFLITE = Format(
    "tflite", ModelFormat.TFLITE, f"{EXPORTERS}.tflite", "model.tflite", FLOAT32, "Phones and small boards: LiteRT",
    form="float32", packages=TRAIN,
)  # fmt: skip
_TFJS = Format(
    "tfjs", ModelFormat.TFJS, f"{EXPORTERS}.tfjs", "tfjs", FLOAT32, "Browsers: TensorFlow.js, float32 weights",
    form="float32", packages=TRAIN,
)  # fmt: skip

#: By name, in the order of the list that users see.
FORMATS: dict[str, Format] = {
    row.name: row
    for row in (
        Format(
            "saved-model", ModelFormat.SAVED_MODEL, f"{EXPORTERS}.encoded_saved_model", "saved_model", FLOAT32,
            "Servers: takes image files (and ready pixels), preprocessing inside", packages=TRAIN,
        ),
        _TFLITE,
        replace(
            _TFLITE, name="tflite-float16", form="float16", tolerance=FLOAT16, words="LiteRT, weights in half precision"
        ),
        replace(
            _TFLITE, name="tflite-dynamic", form="dynamic", tolerance=EIGHT_BIT_WEIGHTS,
            words="LiteRT, weights in 8 bits, ranges found image by image",
        ),
        replace(
            _TFLITE, name="tflite-int8", form="int8", tolerance=EIGHT_BITS, needs_representative=True,
            words="LiteRT, all in 8 bits: the smallest and fastest on a CPU",
        ),
        Format(
            "edgetpu", ModelFormat.TFLITE, f"{EXPORTERS}.edge_tpu", "model.tflite", EIGHT_BITS,
            "Coral's Edge TPU, to be compiled by edgetpu_compiler", packages=TRAIN, needs_representative=True,
        ),
        _TFJS,
        replace(
            _TFJS, name="tfjs-float16", form="float16", tolerance=FLOAT16,
            words="Browsers: TensorFlow.js, half the bytes",
        ),
        replace(
            _TFJS, name="tfjs-uint16", form="uint16", tolerance=SIXTEEN_BITS,
            words="Browsers: TensorFlow.js, half the bytes with a scale a channel: the closest for its size",
        ),
        replace(
            _TFJS, name="tfjs-uint8", form="uint8", tolerance=EIGHT_BIT_WEIGHTS,
            words="Browsers: TensorFlow.js, a quarter of the bytes",
        ),
        Format(
            "onnx", ModelFormat.ONNX, f"{EXPORTERS}.onnx_model", "model.onnx", FLOAT32, "ONNX runtimes, everywhere",
            packages=(*TRAIN, "onnx", "tf2onnx"), own_process=True,
        ),
        Format(
            "coreml", ModelFormat.CORE_ML, f"{EXPORTERS}.core_ml", "model.mlpackage", FLOAT32,
            "Apple's systems: an image classifier (converted here, runs there)",
            packages=(*TRAIN, "coremltools"), own_process=True,
        ),
        Format(
            "litert", ModelFormat.TFLITE, f"{EXPORTERS}.litert", "model.tflite", FLOAT32,
            "LiteRT's CompiledModel and LiteRT.js: any batch", packages=TRAIN,
        ),
    )
}  # fmt: skip

#: What most people need: a page, a phone, a server.
DEFAULT_FORMATS = ("saved-model", "tflite", "tfjs-uint16")


def parse_formats(text: str) -> tuple[Format, ...]:
    """Formats by their names, separated by commas, or all of them. Raises UsageError that lists them."""
    if text.strip() == ALL:
        return tuple(FORMATS.values())
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in FORMATS]
    if unknown or not names:
        named = f"there is no format {unknown[0]!r}" if unknown else "no format is named"
        raise UsageError(f"{named}; the formats are: {', '.join(FORMATS)}", hint=f"or --to {ALL}")
    return tuple(FORMATS[name] for name in dict.fromkeys(names))


def lacking(form: Format) -> MissingPackage | None:
    """The error for a package that a format needs and this environment lacks; nothing is imported."""
    for package in form.packages:
        if find_spec(package) is None:
            return missing_package(package, "train" if package in TRAIN else form.extra)
    return None
