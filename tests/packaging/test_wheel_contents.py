"""What is in the wheel, and what is not."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator
from email.parser import BytesHeaderParser
from pathlib import Path

import pytest

from cxr.version import __version__

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "cxr"
STATIC = "cxr/webapp/static/"
#: A wheel of more has something in it that nobody meant to send.
MOST_MB = 4.0
#: What each part of the program opens beside its modules.
NEEDED = (
    "cxr/py.typed",
    "cxr/cloud/vertex/price_table.toml",
    "cxr/cloud/aws/price_table.toml",
    "cxr/cloud/aws/ec2/user_data.sh",
    "cxr/cloud/aws/ec2/page_user_data.sh",
    "cxr/compare/report/template.html.j2",
    "cxr/compare/report/explorer.js",
    "cxr/compare/evaluation/evaluation.html.j2",
    "cxr/local_baseline/explain/page.html.j2",
    "cxr/local_baseline/recipes/registry.py",
    "cxr/manifests/check/page/template.html.j2",
    "cxr/golden/images/colour-420.jpeg",
    "cxr/webapp/headers.json",
    f"{STATIC}page/index.html",
    f"{STATIC}page/licences.txt",
    f"{STATIC}page/service-worker.js",
    f"{STATIC}verify/verify.html",
    f"{STATIC}verify-node.mjs",
    f"{STATIC}wasm/tfjs-backend-wasm-simd.wasm",
    f"cxr-{__version__}.dist-info/licenses/LICENSE",
)
STRAY = re.compile(r"(^|/)(tests?|node_modules|__pycache__|\.[^/]+)/|\.(ts|py[co]|map|h5|keras|tflite)$|\.part/|~$")


@pytest.fixture(scope="module")
def archive(wheel: Path) -> Iterator[zipfile.ZipFile]:
    with zipfile.ZipFile(wheel) as opened:
        yield opened


def test_the_wheel_has_what_the_program_opens(archive: zipfile.ZipFile, wheel: Path) -> None:
    size = wheel.stat().st_size
    print(f"{wheel.name}: {size / 1e6:.2f} MB, {len(archive.namelist())} files")
    assert [name for name in NEEDED if name not in archive.namelist()] == []
    assert size < MOST_MB * 1e6


def test_every_file_of_the_package_is_in_it_and_nothing_else(archive: zipfile.ZipFile) -> None:
    here = {
        f"cxr/{path.relative_to(PACKAGE).as_posix()}"
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and "static.part" not in path.parts
    }
    packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert packed == here
    assert [name for name in archive.namelist() if STRAY.search(name)] == []


def test_the_page_is_whole(archive: zipfile.ZipFile) -> None:
    summary = json.loads(archive.read(f"{STATIC}build.json"))
    sizes = {name: one["bytes"] for name, one in summary["files"].items()}
    packed = {
        info.filename.removeprefix(STATIC): info.file_size
        for info in archive.infolist()
        if info.filename.startswith(STATIC) and not info.filename.endswith("build.json")
    }
    assert packed == sizes


def test_no_file_of_it_knows_the_machine_it_was_built_on(archive: zipfile.ZipFile) -> None:
    places = [str(ROOT).encode(), str(Path.home()).encode() + b"/"]
    assert [name for name in archive.namelist() if any(place in archive.read(name) for place in places)] == []


def test_the_metadata_says_what_an_index_shows(archive: zipfile.ZipFile) -> None:
    told = BytesHeaderParser().parsebytes(archive.read(f"cxr-{__version__}.dist-info/METADATA"))
    assert (told["Name"], told["Version"]) == ("cxr", __version__)
    assert told["License-Expression"] == "Apache-2.0"
    assert told["Description-Content-Type"] == "text/markdown"
    assert set(told.get_all("Provides-Extra") or []) >= {"gcp", "aws", "train", "export", "report", "data", "all"}
    assert "Programming Language :: Python :: 3.13" in (told.get_all("Classifier") or [])
