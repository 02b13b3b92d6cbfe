"""No wheel and no source distribution without the page: built where Node is at hand, refused in one line elsewhere."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest
from packed import ROOT, hatchling, packed

NODE_PACKAGES = ROOT / "webapp" / "node_modules"


@pytest.fixture(scope="module")
def hook() -> ModuleType:
    """hatch_build.py."""
    spec = spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def bare(unpacked: Path, tmp_path: Path) -> Path:
    """The sources as a fresh clone has them: the page is not built, Node's packages are not there."""
    folder = tmp_path / "bare"
    shutil.copytree(unpacked, folder, ignore=shutil.ignore_patterns("tests", "static"))
    (folder / "PKG-INFO").unlink()
    return folder


def assert_refused(done: subprocess.CompletedProcess[str], folder: Path, *words: str) -> None:
    assert done.returncode != 0
    assert "Traceback" not in done.stdout + done.stderr
    said = [line for line in (done.stdout + done.stderr).splitlines() if line.strip() and line[0] != "["]
    assert len(said) == 1
    for word in (*words, "make web"):
        assert word in said[0]
    assert not list(folder.glob("*"))


@pytest.mark.parametrize("target", ["wheel", "sdist"])
def test_a_bare_checkout_gives_no_package_without_the_page(bare: Path, tmp_path: Path, target: str) -> None:
    assert_refused(hatchling(bare, target, tmp_path / "out"), tmp_path / "out", "not built", "node_modules")


def _lose_a_file(root: Path) -> None:
    (root / "src/cxr/webapp/static/page/index.html").unlink()


def _change_a_source(root: Path) -> None:
    with (root / "webapp/src/strings.ts").open("a", encoding="utf-8") as stream:
        stream.write("// changed since the page was built\n")


def _garble_the_summary(root: Path) -> None:
    (root / "src/cxr/webapp/static/build.json").write_text("[]", encoding="utf-8")


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        (_lose_a_file, "page/index.html"),
        (_change_a_source, "not of these sources"),
        (_garble_the_summary, "build.json"),
    ],
    ids=["file-lost", "source-changed", "summary-garbled"],
)
def test_a_page_that_is_not_whole_or_stale_is_not_packed(
    unpacked: Path, tmp_path: Path, damage: Callable[[Path], None], word: str
) -> None:
    root = tmp_path / "project"
    shutil.copytree(unpacked, root, ignore=shutil.ignore_patterns("tests"))
    damage(root)
    assert_refused(hatchling(root, "wheel", tmp_path / "out"), tmp_path / "out", word)


def test_node_that_fails_is_told_with_its_last_line(bare: Path, tmp_path: Path) -> None:
    (bare / "webapp/node_modules/esbuild").mkdir(parents=True)  # there, and empty
    assert_refused(hatchling(bare, "wheel", tmp_path / "out"), tmp_path / "out", "building it failed")


def test_an_editable_install_needs_neither_page_nor_node(bare: Path, tmp_path: Path) -> None:
    code = "import sys; from hatchling.build import build_editable; print(build_editable(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=bare, env=os.environ | {"PATH": ""}, capture_output=True,
        text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(tmp_path / done.stdout.split()[-1]) as archive:
        assert any(name.endswith(".pth") or "editable" in name for name in archive.namelist())


@pytest.mark.skipif(not (NODE_PACKAGES / "esbuild").is_dir(), reason="Node's packages are not there: make web")
def test_with_node_and_its_packages_the_page_is_built_on_the_way(bare: Path, tmp_path: Path) -> None:
    (bare / "webapp/node_modules").symlink_to(NODE_PACKAGES)
    made = packed("wheel", tmp_path / "out", bare)
    with zipfile.ZipFile(made) as archive:
        summary = json.loads(archive.read("cxr/webapp/static/build.json"))
        assert set(archive.namelist()) >= {f"cxr/webapp/static/{name}" for name in summary["files"]}


def test_both_programs_have_the_same_digest_of_the_sources(hook: ModuleType, unpacked: Path) -> None:
    """webapp/build.mjs wrote it, hatch_build.py compares it."""
    summary = json.loads((unpacked / "src/cxr/webapp/static/build.json").read_text(encoding="utf-8"))
    assert hook.digest_of_sources(unpacked) == summary["sources"]


def test_a_source_distribution_is_all_it_takes_to_build_the_same_wheel(
    unpacked: Path, wheel: Path, tmp_path: Path
) -> None:
    again = packed("wheel", tmp_path / "out", unpacked)
    assert _digest(again) == _digest(wheel)


def test_a_source_distribution_has_the_same_bytes_each_time(unpacked: Path, sdist: Path, tmp_path: Path) -> None:
    assert _digest(packed("sdist", tmp_path / "out", unpacked)) == _digest(sdist)


def test_a_source_distribution_has_what_git_has_and_the_page(sdist: Path) -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    if not listed:
        pytest.skip("not a git checkout")
    with tarfile.open(sdist) as archive:
        packed_files = {name.split("/", 1)[1] for name in archive.getnames()}
    tracked = {name for name in listed if (ROOT / name).is_file()}
    assert tracked - packed_files == set()
    beside = {name for name in packed_files - tracked if not name.startswith("src/cxr/webapp/static/")}
    assert beside <= {"PKG-INFO"} | _untracked()


def _untracked() -> set[str]:
    """What is being written just now, and not ignored."""
    command = ["git", "ls-files", "--others", "--exclude-standard"]
    return set(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split())


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
