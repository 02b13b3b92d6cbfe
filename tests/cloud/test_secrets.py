"""Planted credentials: a service account's key and the tokens that it gets are in nothing that is written or said."""

from __future__ import annotations

import json
import re
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("google.auth", reason='needs the extra: pip install "cxr[gcp]"')

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from typer.testing import CliRunner

from cxr.cli.main import app
from cxr.cloud.emulator.process import change_project, ensure_running, stop
from cxr.manifests.manifest_file import write_manifest
from cxr.manifests.sample import draw_sample
from cxr.manifests.scan.folder import scan
from cxr.manifests.splits.split import make_validation

TINY_STAND_IN = Path(__file__).parent / "emulator" / "tiny_stand_in.py"
#: What the emulator's token endpoint gives.
TOKEN = re.compile(rb"emulator-[A-Za-z0-9_-]{32}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("secrets")
    draw_sample(folder / "images", images=120, seed=5)
    write_manifest(make_validation(scan(folder / "images")), folder / "manifest.csv")
    return folder


@pytest.fixture
def url(folder: Path) -> Iterator[str]:
    state = folder / ".cxr" / "emulator"
    yield ensure_running(state, stand_in=f"{sys.executable} {TINY_STAND_IN}", idle_exit_seconds=300)
    stop(state)


@pytest.fixture
def private_key(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The key of the default credentials, whose tokens the emulator gives."""
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(*form).decode()
    account = {"type": "service_account", "client_email": "a@p.iam.gserviceaccount.com", "private_key": key}
    path = tmp_path / "key.json"
    path.write_text(json.dumps({**account, "private_key_id": "1", "token_uri": f"{url}/token"}))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    monkeypatch.setenv("CXR_DEBUG", "1")
    return key


@pytest.mark.slow
def test_no_credential_and_no_token_is_written_or_said(
    folder: Path, url: str, private_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    heard: list[str] = []

    def cxr(*words: str, expect: int = 0) -> str:
        ended = CliRunner().invoke(app, ["cloud", *words])
        heard.extend([ended.stdout, ended.stderr])
        code = ended.exit_code
        if ended.exception is not None:
            heard.extend(traceback.format_exception(ended.exception))
            code = getattr(ended.exception, "exit_code", code)
        assert code == expect, (words, ended.stdout, ended.stderr, ended.exception)
        return ended.stdout

    assert "a@p.iam.gserviceaccount.com" in cxr("check", "--json", expect=5)  # there is no bucket yet
    cxr("upload", "--yes")
    cxr("train", "automl", "--plan", "plan.json")
    job = json.loads(cxr("train", "automl", "--apply", "plan.json", "--yes", "--json"))["job"]
    cxr("wait", job)
    cxr("status", job, "--json")
    cxr("attach", "--all")
    cxr("clean", "--all", "--dry-run", "--json")

    change_project(url, {"signed_out": True})
    for words in (("check",), ("status", job), ("jobs", "--refresh"), ("attach", "--all"), ("upload", "--yes")):
        ended = CliRunner().invoke(app, ["cloud", *words])
        heard.extend([ended.stdout, ended.stderr])
        if ended.exception is not None:
            heard.extend(traceback.format_exception(ended.exception))
    assert any("not signed in" in text or "credentials" in text for text in heard)
    change_project(url, {})

    secrets = [line.encode() for line in private_key.splitlines()[1:-1]]
    written = [path for path in folder.rglob("*") if path.is_file() and "images" not in path.parts]
    assert any(path.name == "jobs.jsonl" for path in written)
    assert any(path.name == "server.log" for path in written)
    for where, data in [("said", "\n".join(heard).encode()), *((str(path), path.read_bytes()) for path in written)]:
        assert not TOKEN.search(data), where
        assert not any(line in data for line in secrets), where
