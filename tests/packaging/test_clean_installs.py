"""The wheel and the source distribution in clean environments, by pip, on every Python that cxr is made for."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pytest
from commands_without_extras import CASES
from lean import bare_environment

from cxr.cloud.trainer.wheel import build_wheel

pytestmark = pytest.mark.slow

HERE = Path(__file__).resolve().parent
VERSIONS = ("3.11", "3.12", "3.13")
#: What a plain install may download, in MB of 10^6 bytes, cxr itself included.
MOST_MB = 60.0

Make = Callable[[str], Path]


@dataclass(frozen=True, slots=True)
class Installed:
    """A clean environment with cxr in it, and what was downloaded for it."""

    python: Path
    wheels: Path

    @property
    def site(self) -> Path:
        """Its site-packages."""
        return next(self.python.parents[1].glob("lib/python*/site-packages"))

    def run(self, *arguments: str, cwd: Path, helpers: Sequence[Path] = ()) -> subprocess.CompletedProcess[str]:
        """Its Python with `arguments`; nothing of this process's environment is seen."""
        environment = bare_environment(self.python)
        if helpers:
            environment["PYTHONPATH"] = os.pathsep.join(map(str, helpers))
        return subprocess.run(
            [str(self.python), *arguments],
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def cxr(self, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        """The command, as it is typed."""
        return self.run(str(self.python.parent / "cxr"), *arguments, cwd=cwd)


def interpreter(version: str) -> str | None:
    """A Python of that version on this machine."""
    if sys.version.startswith(f"{version}."):
        return sys.executable
    managed = sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python"))
    return str(managed[-1]) if managed else shutil.which(f"python{version}")


def pip(python: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(python), "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)


@pytest.fixture(scope="module", params=VERSIONS)
def environment(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Make]:
    """Makes an empty environment of one version of Python, by a name."""
    found = interpreter(request.param)
    if found is None:
        pytest.skip(f"there is no Python {request.param} on this machine")
    folder = tmp_path_factory.mktemp(f"python{request.param}")

    def make(name: str) -> Path:
        python = folder / name / "bin" / "python"
        if not python.exists():
            subprocess.run([found, "-m", "venv", str(folder / name)], check=True, capture_output=True, timeout=120)
        return python

    yield make
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Skips where no package index can be reached."""
    probed = pip(
        Path(sys.executable), "download", "--no-deps", "--dest", str(tmp_path_factory.mktemp("probe")), "hatchling"
    )
    if probed.returncode:
        pytest.skip("no package index can be reached from here")


@pytest.fixture(scope="module")
def installed(index: None, environment: Make, wheel: Path) -> Installed:
    """The wheel with what pip resolves for it, installed out of the folder that it was downloaded to."""
    python = environment("of-wheel")
    wheels = python.parents[2] / "wheels"
    fetched = pip(python, "download", "--dest", str(wheels), str(wheel))
    assert fetched.returncode == 0, fetched.stderr
    done = pip(python, "install", "--no-index", "--find-links", str(wheels), "cxr")  # as docs/install.md has it
    assert done.returncode == 0, done.stderr
    return Installed(python, wheels)


def test_a_plain_install_downloads_less_than_its_limit(installed: Installed) -> None:
    sizes = {path.name: path.stat().st_size / 1e6 for path in installed.wheels.glob("*.whl")}
    on_disk = sum(path.stat().st_size for path in installed.site.rglob("*") if path.is_file()) / 1e6
    shown = ", ".join(f"{name.split('-')[0]} {size:.1f}" for name, size in sorted(sizes.items(), key=lambda x: -x[1]))
    print(f"download {sum(sizes.values()):.1f} MB ({shown}); on disk with pip {on_disk:.0f} MB")
    assert sum(sizes.values()) < MOST_MB
    assert any(name.startswith("cxr-") for name in sizes)


def test_what_needs_no_extra_works_from_the_first_command_on(installed: Installed, tmp_path: Path) -> None:
    for line in ("--version", "data sample drawn --images 80", "data scan drawn", "data split", "data check"):
        done = installed.cxr(*line.split(), cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
    told = json.loads(installed.cxr("--version", "--json", cwd=tmp_path).stdout)
    assert Path(told["location"]).is_relative_to(installed.site)
    assert told["commit"] == ""


def test_the_doctor_finds_the_page_and_what_is_missing(installed: Installed, tmp_path: Path) -> None:
    done = installed.cxr("doctor", "--json", "--min-free-gb", "0", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = {one["check"]: one for one in json.loads(done.stdout)["findings"]}
    assert (found["packages"]["level"], found["page"]["level"]) == ("ok", "ok")
    assert found["extra train"]["fix"] == 'pip install "cxr[train]"'


def test_every_command_says_there_what_it_says_in_the_links_of_the_quick_tests(
    installed: Installed, tmp_path: Path
) -> None:
    script, figures = HERE / "typed_without_extras.py", HERE.parents[1] / "docs" / "figures.toml"
    done = installed.run(str(script), str(figures), cwd=tmp_path, helpers=[HERE, HERE.parent])
    assert done.returncode == 0, done.stderr
    for case, result in zip(CASES, json.loads(done.stdout), strict=True):
        assert result["code"] == case.code, (case, result["err"])
        assert "Traceback" not in result["err"]
        assert case.said in result["err"]
        if case.extras:
            assert result["err"].strip().splitlines()[-1] == f'  next: pip install "cxr[{case.extras}]"', case


def test_jobs_get_the_same_trainer_from_an_installed_cxr(installed: Installed, tmp_path: Path) -> None:
    code = "import sys; from cxr.cloud.trainer.wheel import build_wheel; sys.stdout.buffer.write(build_wheel())"
    made = subprocess.run([str(installed.python), "-c", code], cwd=tmp_path, capture_output=True, check=True).stdout
    there, here = (zipfile.ZipFile(BytesIO(data)) for data in (made, build_wheel()))
    assert set(there.namelist()) == set(here.namelist())
    assert all(there.read(name) == here.read(name) for name in here.namelist() if name.startswith("cxr/"))


def test_the_source_distribution_installs_without_node(
    environment: Make, installed: Installed, sdist: Path, tmp_path: Path
) -> None:
    python = environment("of-sdist")
    done = subprocess.run(
        [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--no-deps", str(sdist)],
        env=os.environ | {"PATH": str(python.parent)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    site = next(python.parents[1].glob("lib/python*/site-packages"))
    (site / "needed.pth").write_text(f"{installed.site}\n", encoding="utf-8")  # what it needs is there already
    second = Installed(python, installed.wheels)
    assert second.cxr("--version", cwd=tmp_path).stdout.startswith("cxr ")
    assert (second.site / "cxr" / "webapp" / "static" / "build.json").is_file()


def test_pip_says_in_one_line_why_a_bare_checkout_gives_no_wheel(
    index: None, environment: Make, unpacked: Path, tmp_path: Path
) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(unpacked, bare, ignore=shutil.ignore_patterns("tests", "static"))
    done = pip(environment("of-wheel"), "wheel", "--no-deps", "--wheel-dir", str(tmp_path / "out"), str(bare))
    assert done.returncode != 0
    said = done.stdout + done.stderr
    assert "Traceback" not in said
    assert sum("make web" in line for line in said.splitlines()) == 1
