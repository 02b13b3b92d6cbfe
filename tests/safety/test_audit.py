"""The audit of the dependencies finds what is wrong, and takes no silence for an answer."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import util
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
HASH = f"--hash=sha256:{'0' * 64}"


def _loaded() -> Any:
    spec = util.spec_from_file_location("audit", ROOT / "tools" / "audit.py")
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    sys.modules["audit"] = module
    spec.loader.exec_module(module)
    return module


audit = _loaded()
RULES = tomllib.loads((ROOT / "tools" / "licences.toml").read_text(encoding="utf-8"))


def run_audit(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "tools" / "audit.py"), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | environment)


def test_the_locks_of_this_project_are_in_order() -> None:
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert list(audit.check_lock(text)) == []
    assert len(audit.locked_names(text)) > 100
    for lock in audit.NPM_LOCKS:
        document = json.loads(lock.read_text(encoding="utf-8"))
        assert [one for one in audit.check_package_lock(document, RULES) if "licence" not in one.what] == []


def test_every_lock_of_npms_is_asked_about(tmp_path: Path) -> None:
    there = [*ROOT.glob("*/package-lock.json"), *ROOT.glob("*/*/package-lock.json")]
    assert sorted(audit.NPM_LOCKS) == sorted(there)
    words = []
    for place in ("first", "second"):
        (tmp_path / place).mkdir()
        lock = tmp_path / place / "package-lock.json"
        lock.write_text(json.dumps({"packages": {"node_modules/bare": {"license": "MIT"}}}), encoding="utf-8")
        words += ["--package-lock", str(lock)]
    found = run_audit("--offline", *words)
    assert found.returncode == audit.WRONG
    for place in ("first", "second"):
        assert f"WRONG: npm lock of {place}: node_modules/bare has no sha512" in found.stdout


def test_unasked_is_no_pass_and_goes_on_only_when_told() -> None:
    asked = run_audit("--offline")
    assert asked.returncode == audit.UNANSWERED, asked.stdout
    assert "NOT AUDITED: advisories" in asked.stdout
    assert run_audit("--offline", "--go-on").returncode == 0


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("six==1.17.0", "has no sha256"),
        ("six==1.17.0 --hash=sha256:abc", "has no sha256"),
        ("six==1.17.0 --hash=md5:" + "0" * 32, "has no sha256"),
        (f"six>=1.17 {HASH}", "is not pinned"),
        (f"six {HASH}", "is not pinned"),
        (f"six @ https://elsewhere.example/six.whl {HASH}", "URL or a repository"),
        (f"git+https://elsewhere.example/six.git {HASH}", "URL or a repository"),
        ("-e git+https://elsewhere.example/six.git", "past the index"),
        ("--extra-index-url https://elsewhere.example/simple", "past the index"),
        ("--trusted-host elsewhere.example", "past the index"),
    ],
)
def test_a_requirement_that_could_be_another_is_found(tmp_path: Path, line: str, words: str) -> None:
    good = f"click==8.3.0 \\\n    {HASH} \\\n    {HASH}\n"
    found = list(audit.check_lock(f"# a lock\n{good}{line}\n"))
    assert [words in one.what for one in found] == [True]
    (tmp_path / "a.lock").write_text(f"{line}\n", encoding="utf-8")
    assert run_audit("--offline", "--go-on", "--lock", str(tmp_path / "a.lock")).returncode == audit.WRONG


@pytest.mark.parametrize(
    "texts",
    [
        ["GPL-3.0-only"],
        ["AGPL-3.0-or-later"],
        ["GNU General Public License v3 (GPLv3)"],
        ["MIT AND GPL-3.0-only"],
        ["MIT License", "GNU Affero General Public License v3"],
        ["Proprietary"],
        [],
    ],
    ids=str,
)
def test_a_licence_that_is_not_on_the_list_is_found(texts: list[str]) -> None:
    assert len(list(audit.check_licences({"evil": texts}, RULES))) == 1


@pytest.mark.parametrize("text", ["MIT", "MIT License", "GPL-2.0-only OR MIT", "Apache-2.0 AND CNRI-Python", "BSD"])
def test_a_licence_on_the_list_may_be(text: str) -> None:
    assert list(audit.check_licences({"good": [text]}, RULES)) == []


def test_packages_of_npm_without_a_checksum_or_from_elsewhere_are_found() -> None:
    good = {"integrity": "sha512-x", "license": "MIT"}
    document = {
        "packages": {
            "": {},
            "node_modules/good": good,
            "node_modules/bare": {"license": "MIT"},
            "node_modules/away": {**good, "resolved": "git+ssh://elsewhere.example/a.git"},
            "node_modules/gpl": {**good, "license": "GPL-3.0"},
        }
    }
    found = " ".join(one.what for one in audit.check_package_lock(document, RULES))
    assert "node_modules/bare has no sha512" in found
    assert "node_modules/away comes from git+ssh" in found
    assert "node_modules/gpl is not on the list" in found
    assert "good" not in found


def test_install_scripts_that_would_run_are_found() -> None:
    assert list(audit.check_install_scripts("\t@$(NPM) ci --no-audit\n"))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "$(NPM) ci" in makefile
    assert list(audit.check_install_scripts(makefile)) == []


def test_an_answer_that_asked_about_nothing_is_no_pass() -> None:
    """pip-audit ends with "no known vulnerabilities" when its service knew none of the packages."""
    skipped = json.dumps({"dependencies": [{"name": "six", "skip_reason": "not found"}], "fixes": []})
    for output in (skipped, json.dumps({"dependencies": []}), "", "no JSON", "[]"):
        found = list(audit.read_pip_audit(output, "a\nname resolution failed at https://a.example/x"))
        assert [one.unanswered for one in found] == [True]
        assert "example" not in found[0].what
    refused = json.dumps({"message": "405 Method Not Allowed", "error": {}})
    for output in (refused, "", "null"):
        assert [one.unanswered for one in audit.read_npm_audit(output, "")] == [True]


def test_a_known_vulnerability_is_wrong() -> None:
    known = {"name": "six", "version": "1.0", "vulns": [{"id": "CVE-1", "fix_versions": ["1.1"]}]}
    (found,) = audit.read_pip_audit(json.dumps({"dependencies": [known]}), "")
    assert found == audit.Finding("six 1.0: CVE-1, mended in 1.1")
    clean = json.dumps({"dependencies": [{"name": "six", "version": "1.0", "vulns": []}]})
    assert list(audit.read_pip_audit(clean, "")) == []
    answer = json.dumps({"vulnerabilities": {"evil": {"severity": "high", "range": "<2"}}})
    assert [one.what for one in audit.read_npm_audit(answer, "")] == ["evil <2: high vulnerability"]
    assert list(audit.read_npm_audit(json.dumps({"vulnerabilities": {}}), "")) == []


@pytest.fixture
def index(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """An index on this machine with `good` and `gone`, which was withdrawn; its address, and a lock of both."""
    lock, links = [], {}
    for name in ("good", "gone"):
        wheel = tmp_path / f"{name}-1.0-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            about = f"{name}-1.0.dist-info"
            archive.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
            archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            archive.writestr(f"{about}/RECORD", "")
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        lock.append(f"{name}==1.0 --hash=sha256:{digest}")
        yanked = ' data-yanked="broken"' if name == "gone" else ""
        links[f"/simple/{name}/"] = f'<a href="/{wheel.name}#sha256={digest}"{yanked}>{wheel.name}</a>'.encode()
        links[f"/{wheel.name}"] = wheel.read_bytes()

    class Index(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = links.get(self.path)
            self.send_response(200 if body else 404)
            self.send_header("Content-Type", "text/html" if self.path.startswith("/simple") else "application/zip")
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Index)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    (tmp_path / "a.lock").write_text("\n".join(lock) + "\n", encoding="utf-8")
    yield f"http://127.0.0.1:{server.server_port}/simple", tmp_path / "a.lock"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_withdrawn_release_is_found_and_a_silent_index_is_no_pass(
    index: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, lock = index
    monkeypatch.setenv("PIP_INDEX_URL", address)
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    assert [one.what for one in audit.check_withdrawn(lock)] == ["gone was withdrawn from the index"]
    lock.write_text(f"other==1.0 {HASH}\n", encoding="utf-8")
    assert [one.unanswered for one in audit.check_withdrawn(lock)] == [True]
