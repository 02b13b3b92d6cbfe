"""The trainer's wheel: a real wheel, the same bytes each time."""

from __future__ import annotations

import io
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from cxr.cloud.aws.sagemaker import requests
from cxr.cloud.trainer.wheel import WHEEL_NAME, build_wheel
from cxr.cloud.vertex import container


def test_the_wheel_has_the_same_bytes_each_time() -> None:
    assert build_wheel() == build_wheel()


def test_pip_installs_it_and_the_trainer_starts_from_it(tmp_path: Path) -> None:
    wheel = tmp_path / WHEEL_NAME
    wheel.write_bytes(build_wheel())
    site = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(site)]
    subprocess.run([*pip, str(wheel)], check=True, capture_output=True)
    shown = subprocess.run(
        [sys.executable, "-c", "import cxr; print(cxr.__file__)"],
        env={"PYTHONPATH": str(site)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(shown.stdout.strip()).is_relative_to(site)


def test_the_record_lists_every_member() -> None:
    archive = zipfile.ZipFile(io.BytesIO(build_wheel()))
    record = next(name for name in archive.namelist() if name.endswith("RECORD"))
    listed = {line.split(",")[0] for line in archive.read(record).decode().splitlines()}
    assert listed == set(archive.namelist())
    assert "cxr/local_baseline/trainer.py" in listed


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a Python of its own, as an image has one."""
    folder = tmp_path_factory.mktemp("image")
    venv.create(folder, with_pip=True)
    return folder / "bin"


@pytest.mark.parametrize("script", [container.START_SCRIPT, requests.START_SCRIPT], ids=["vertex", "sagemaker"])
def test_a_job_runs_its_own_wheel_where_the_image_has_one_of_the_same_version(
    image: Path, tmp_path: Path, script: str
) -> None:
    wheel = tmp_path / WHEEL_NAME
    wheel.write_bytes(tiny_wheel("the image's"))
    ran(image, "python3", "-m", "pip", "install", "--force-reinstall", str(wheel))
    wheel.write_bytes(tiny_wheel("the plan's"))
    said = ran(image, "sh", "-c", script, "trainer", str(wheel), "--epochs", "2")
    assert said.splitlines()[-1] == "the plan's --epochs 2"


def ran(image: Path, *command: str) -> str:
    """What a command says there; there is no index."""
    environment = {"PATH": f"{image}:/usr/bin:/bin", "PIP_NO_INDEX": "1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


def tiny_wheel(said: str) -> bytes:
    """A cxr of this version whose trainer says something, and its arguments."""
    name, version, *_ = WHEEL_NAME.split("-")
    info = f"{name}-{version}.dist-info"
    members = {
        "cxr/__init__.py": "",
        "cxr/local_baseline/__init__.py": "",
        "cxr/local_baseline/trainer.py": f"import sys\nprint({said!r}, *sys.argv[1:])\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nProvides-Extra: trainer\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": "",
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, text in members.items():
            archive.writestr(path, text)
    return buffer.getvalue()
