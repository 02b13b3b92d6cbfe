"""What servers of one's own are given: the same files and headers as the page has everywhere."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
import typer
import yaml
from typer.testing import CliRunner

from cxr.cli.web.package import package_command
from cxr.webapp.headers import FOREVER, headers_for
from cxr.webapp.servers import Server, app_yaml, nginx_configuration, server_files

FILES = {
    "index.html": b"<!doctype html>" * 100,
    "page.json": json.dumps({"schema_version": 1, "name": "tiny"}).encode() * 20,
    "assets/known-3e7a9b10.bin": bytes(range(256)),
    "app.webmanifest": b"{}",
    "icon.svg": b"<svg/>" * 80,
    "assets/main-0a.js": b"export {}\n" * 300,
    "assets/style-9f.css": b"a {}\n" * 300,
    "assets/tfjs-77.wasm": bytes(1000),
    "assets/model-5d0c1f2a/model.json": b'{"a": 1}' * 200,
    "assets/model-5d0c1f2a/group1-shard1of1": bytes(300),
}


@pytest.fixture
def page(tmp_path: Path) -> Path:
    folder = tmp_path / "page"
    for name, data in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    (folder / "page.json").write_text('{"schema_version": 1, "name": "tiny"}')
    kept = json.dumps({"version": "0", "files": sorted(FILES)})
    (folder / "service-worker.js").write_text(f"self.CXR_KEPT={kept};\n")
    return folder


@pytest.fixture
def nginx(page: Path, tmp_path: Path) -> Iterator[str]:
    """A real nginx that serves the page; its origin."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        pytest.skip("nginx is not installed: apt-get install nginx-light")
    for folder in (tmp_path, *tmp_path.parents):
        # As root nginx gives its workers to nobody, who may not look into pytest's private folders.
        if folder.stat().st_uid == 0 and folder.is_relative_to("/tmp") and folder != Path("/tmp"):
            folder.chmod(0o755)
    process, port = started(program, page, tmp_path)
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait(120)


def started(program: str, page: Path, scratch: Path) -> tuple[subprocess.Popen[bytes], int]:
    """nginx at a port that it has; somebody else may take a free one first, and then it is another."""
    for _ in range(20):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        configuration = scratch / "nginx.conf"
        configuration.write_text(nginx_configuration(root=str(page), port=port, scratch=str(scratch)))
        checked = subprocess.run([program, "-t", "-c", str(configuration)], capture_output=True, text=True, check=False)
        if checked.returncode != 0 and "Address already in use" in checked.stderr:
            continue
        assert checked.returncode == 0, checked.stderr
        process = subprocess.Popen([program, "-c", str(configuration), "-g", "daemon off;"])
        while process.poll() is None:
            with socket.socket() as trial:
                # It writes its number down when it listens (a check of the configuration leaves an empty file): who
                # answers then is nginx itself.
                if (scratch / "nginx.pid").read_text() and trial.connect_ex(("127.0.0.1", port)) == 0:
                    return process, port
            time.sleep(0.02)
    raise AssertionError("nginx did not start at any of twenty ports")


def test_nginx_serves_every_file_with_the_pages_headers(nginx: str, page: Path) -> None:
    for name in (*FILES, "service-worker.js"):
        with urlopen(f"{nginx}/{name}", timeout=120) as answer:
            assert answer.read() == (page / name).read_bytes()
            for header, value in headers_for(name).items():
                assert answer.headers.get_all(header) == [value], (name, header)
    with urlopen(nginx, timeout=120) as answer:
        assert answer.read() == FILES["index.html"]


@pytest.mark.parametrize(
    "name", ["index.html", "assets/main-0a.js", "assets/tfjs-77.wasm", "assets/model-5d0c1f2a/model.json"]
)
def test_nginx_packs_what_is_worth_it(nginx: str, name: str) -> None:
    with urlopen(Request(f"{nginx}/{name}", headers={"Accept-Encoding": "gzip"}), timeout=120) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        assert len(answer.read()) < len(FILES[name])
        assert answer.headers["Content-Type"] == headers_for(name)["Content-Type"]


def test_nginx_only_reads(nginx: str) -> None:
    code = "%{http_code}"
    asked = ["curl", "--silent", "--output", "/dev/null", "--write-out", code]
    for more, status in ((["--request", "POST"], "405"), (["--path-as-is"], "404")):
        address = f"{nginx}/x" if more[0] == "--request" else f"{nginx}/assets/..%2f..%2fnginx.conf"
        done = subprocess.run([*asked, *more, address], capture_output=True, text=True, check=True)
        assert done.stdout in {status, "400"}


def answered_by(handlers: list[dict[str, Any]], path: str) -> dict[str, Any]:
    """The first handler whose pattern is all of the path, as App Engine chooses."""
    return next(one for one in handlers if re.fullmatch(one["url"], path))


def test_app_engine_serves_every_file_with_the_pages_headers() -> None:
    names = (*FILES, "service-worker.js")
    handlers = yaml.safe_load(app_yaml(names))["handlers"]
    for name in names:
        one = answered_by(handlers, f"/{name}")
        found = re.fullmatch(one["url"], f"/{name}")
        assert found is not None
        assert found.expand(one["static_files"]) == f"page/{name}"
        assert re.fullmatch(one["upload"], f"page/{name}")
        headers = headers_for(name)
        expiration = "365d" if headers.pop("Cache-Control") == FOREVER else "0s"
        assert (one["expiration"], one["secure"]) == (expiration, "always")
        assert one["mime_type"] == headers.pop("Content-Type")
        assert one["http_headers"] == headers
    assert answered_by(handlers, "/")["static_files"] == "page/index.html"
    assert not any(re.fullmatch(one["url"], "/main.py") for one in handlers)


def test_what_no_handler_answers_is_not_found() -> None:
    space: dict[str, Any] = {}
    exec(server_files(Server.APP_ENGINE, ["index.html"])["main.py"], space)
    told = []
    assert space["app"]({}, lambda *said: told.append(said)) == [b"not found\n"]
    assert told[0][0].startswith("404")


@pytest.mark.parametrize("server", list(Server))
def test_the_command_packs_the_page_and_nothing_else(page: Path, tmp_path: Path, server: Server) -> None:
    (page / "me.jpeg").write_bytes(b"x")
    app, target = typer.Typer(), tmp_path / "package"
    app.command()(package_command)
    for _ in range(2):  # the second one replaces the first
        done = CliRunner().invoke(app, [str(page), str(target), "--for", server.value, "--json"])
        assert done.exit_code == 0, done.output
    found = {path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file()}
    own = server_files(server, list(FILES))
    assert found == {f"page/{name}" for name in (*FILES, "service-worker.js")} | set(own)


def test_a_folder_of_something_else_is_not_replaced(page: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    app = typer.Typer()
    app.command()(package_command)
    done = CliRunner().invoke(app, [str(page), str(tmp_path / "mine"), "--for", "nginx"])
    assert done.exit_code != 0
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]
