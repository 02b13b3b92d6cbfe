"""The project's own wheel, made from what is installed: the trainer that a job runs is the one that is here.

Works the same from a checkout and from site-packages, and gives the same bytes each time (PEP 427: a zip of the package
and its metadata with a RECORD of hashes).
"""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile
from functools import cache
from importlib import metadata
from pathlib import Path

import cxr
from cxr.version import __version__

WHEEL_NAME = f"cxr-{__version__}-py3-none-any.whl"
_DIST_INFO = f"cxr-{__version__}.dist-info"
_EPOCH = (1980, 1, 1, 0, 0, 0)


@cache
def build_wheel() -> bytes:
    """The wheel's bytes; its file name must be WHEEL_NAME. Made once in a process: a plan asks for it several times."""
    package = Path(cxr.__file__).parent
    built_page = package / "webapp" / "static"  # no trainer opens it, and it is not always there
    members = {
        f"cxr/{path.relative_to(package).as_posix()}": path.read_bytes()
        for path in sorted(package.rglob("*"))
        if path.is_file()
        and "__pycache__" not in path.parts
        and path.suffix != ".pyc"
        and built_page not in path.parents
    }
    members[f"{_DIST_INFO}/METADATA"] = _metadata().encode()
    members[f"{_DIST_INFO}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: cxr\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    members[f"{_DIST_INFO}/entry_points.txt"] = b"[console_scripts]\ncxr = cxr.__main__:main\n"
    members[f"{_DIST_INFO}/RECORD"] = _record(members)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), data, zipfile.ZIP_DEFLATED)
    return stream.getvalue()


def _metadata() -> str:
    installed = metadata.metadata("cxr")
    lines = ["Metadata-Version: 2.1", "Name: cxr", f"Version: {__version__}"]
    for key in ("Requires-Python", "Requires-Dist", "Provides-Extra"):
        lines += [f"{key}: {value}" for value in installed.get_all(key, [])]
    return "\n".join(lines) + "\n"


def _record(members: dict[str, bytes]) -> bytes:
    rows = []
    for name, data in members.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        rows.append(f"{name},sha256={digest},{len(data)}")
    return ("\n".join([*rows, f"{_DIST_INFO}/RECORD,,"]) + "\n").encode()
