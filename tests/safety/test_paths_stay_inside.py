"""Names in what others hand over (bundles, archives, objects, pages) reach no file outside of their folder."""

from __future__ import annotations

import io
import json
import socket
import tarfile
from pathlib import Path
from typing import Any

import pytest

from bundles import model_info
from cxr.archives import unpack_tar
from cxr.bundle import BUNDLE_FILE, read_bundle, write_bundle
from cxr.cloud.emulator.state.blobs import BlobStore
from cxr.errors import InputError
from cxr.storage.folder import FolderStore
from cxr.storage.transfer.download import is_plain, local_path
from cxr.webapp.serve import serving

#: Names that lead away, or that some system takes for such.
ASTRAY = ["../out", "a/../../out", "/etc/passwd", "a//b", "./a", "a/.", "", "a\0b"]


def bundle_with(folder: Path, **changes: Any) -> Path:
    """A bundle whose description was edited."""
    folder.mkdir()
    (folder / "model.keras").write_bytes(b"model")
    write_bundle(folder, model_info())
    document = json.loads((folder / BUNDLE_FILE).read_text(encoding="utf-8"))
    (folder / BUNDLE_FILE).write_text(json.dumps({**document, **changes}), encoding="utf-8")
    return folder


@pytest.mark.parametrize("name", [*ASTRAY, "C:\\model.keras", "..\\out", "x" * 300])
def test_a_bundle_names_no_model_outside_of_itself(tmp_path: Path, name: str) -> None:
    (tmp_path / "out").write_bytes(b"somebody's file")
    with pytest.raises(InputError, match="leads out of the bundle"):
        read_bundle(bundle_with(tmp_path / "bundle", model_path=name))


@pytest.mark.parametrize("name", ["../out", "/etc/passwd", "a/../../out"])
def test_a_bundle_lists_no_file_outside_of_itself(tmp_path: Path, name: str) -> None:
    file = {"path": name, "size": 1, "sha256": "0" * 64}
    with pytest.raises(InputError, match="leads out of the bundle"):
        read_bundle(bundle_with(tmp_path / "bundle", files=[file]))


def test_a_link_out_of_a_bundle_is_not_followed(tmp_path: Path) -> None:
    folder = bundle_with(tmp_path / "bundle")
    (tmp_path / "secret").write_bytes(b"model")
    (folder / "model.keras").unlink()
    (folder / "model.keras").symlink_to(tmp_path / "secret")
    with pytest.raises(InputError, match="link that leads out"):
        read_bundle(folder)


def test_a_file_that_a_bundle_does_not_list_is_no_part_of_its_model(tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "saved_model.pb").write_bytes(b"graph")
    write_bundle(folder, model_info(model_path="model"))
    read_bundle(folder)
    (folder / "model" / "variables.index").write_bytes(b"slipped in")
    with pytest.raises(InputError, match=r"does not list model/variables\.index"):
        read_bundle(folder)


def tar_of(path: Path, *members: tarfile.TarInfo, data: bytes = b"") -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for member in members:
            member.size = len(data) if member.isfile() else 0
            archive.addfile(member, io.BytesIO(data))
    return path


def named(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


@pytest.mark.parametrize(
    "members",
    [
        (named("../out"),),
        (named("a/../../out"),),
        (named("link", tarfile.SYMTYPE, "../.."), named("link/out")),
        (named("link", tarfile.LNKTYPE, "../out"),),
        (named("inside"), named("link", tarfile.SYMTYPE, "inside")),
        (named("device", tarfile.CHRTYPE),),
        (named("pipe", tarfile.FIFOTYPE),),
    ],
    ids=["parent", "hidden-parent", "through-a-link", "hard-link", "link-inside", "device", "pipe"],
)
def test_an_archive_of_a_jobs_output_writes_nothing_outside(
    tmp_path: Path, members: tuple[tarfile.TarInfo, ...]
) -> None:
    folder = tmp_path / "deep" / "folder"
    folder.mkdir(parents=True)
    with pytest.raises(InputError, match=r"model\.tar\.gz"):
        unpack_tar(tar_of(tmp_path / "a.tar.gz", *members), folder, name="s3://b/model.tar.gz")
    assert sorted(path.name for path in tmp_path.rglob("*") if path.name in {"out", "device", "pipe"}) == []


def test_an_absolute_name_in_an_archive_lands_inside_or_nowhere(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    target = tmp_path / "absolute"
    unpack_tar(tar_of(tmp_path / "a.tar", named(str(target))), folder, name="model.tar.gz")
    assert not target.exists()
    assert folder.joinpath(*target.parts[1:]).is_file()


def test_a_plain_archive_is_unpacked(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    unpack_tar(tar_of(tmp_path / "a.tar.gz", named("model/a"), data=b"data"), folder, name="model.tar.gz")
    assert (folder / "model" / "a").read_bytes() == b"data"


@pytest.mark.parametrize("name", ASTRAY)
def test_an_object_of_such_a_name_is_no_file_here(tmp_path: Path, name: str) -> None:
    assert not is_plain(name)
    with pytest.raises(InputError):
        local_path(tmp_path, name)


@pytest.mark.parametrize("name", ["../out", "a/../../out", "link/out"])
def test_a_folder_as_a_store_ends_at_its_root(tmp_path: Path, name: str) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to(tmp_path)
    (tmp_path / "out").write_bytes(b"somebody's file")
    store = FolderStore(root)
    for act in (store.get_bytes, store.delete, lambda given: store.put_bytes(given, b"x")):
        with pytest.raises(InputError, match="leaves the folder"):
            act(name)
    assert (tmp_path / "out").read_bytes() == b"somebody's file"


def test_the_emulator_names_files_by_itself_whatever_an_object_is_called(tmp_path: Path) -> None:
    """An object's name is a column of its database; bytes are in packs and in files of random names."""
    store = BlobStore(tmp_path / "blobs")
    large = store.write([b"x" * (2 << 20)])
    assert store.keep(store.blob_of(b"small")).id.count(":") == 2
    assert len(large.id) == 32
    assert {path.name for path in (tmp_path / "blobs").rglob("*") if path.is_file()} >= {large.id}


def get(port: int, target: str, host: str = "localhost") -> bytes:
    """The answer's first line, of a request that no client library has tidied up."""
    with socket.create_connection(("127.0.0.1", port), timeout=120) as connection:
        connection.sendall(f"GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode("latin-1"))
        return connection.makefile("rb").readline()


@pytest.fixture
def page(tmp_path: Path) -> Path:
    folder = tmp_path / "page"
    folder.mkdir()
    (folder / "index.html").write_text("the page", encoding="utf-8")
    (tmp_path / "secret").write_text("somebody's file", encoding="utf-8")
    (folder / "link").symlink_to(tmp_path / "secret")
    return folder


def test_the_pages_server_serves_the_page_and_nothing_else(page: Path) -> None:
    with serving(page) as running:
        assert b" 200 " in get(running.port, "/")
        for target in (
            "/../secret", "/%2e%2e/secret", "/..%2fsecret", "//../secret", "/link", "/%2fetc/passwd", "/a%00b",
            "/" + "x" * 5000, "/.", "/%ff%fe", "http://elsewhere/../secret", "/index.html/../../secret",
        ):  # fmt: skip
            assert b" 404 " in get(running.port, target), target


def test_the_pages_server_answers_to_no_name_but_this_machines_own(page: Path) -> None:
    """DNS rebinding: a page elsewhere that lets its name point here would read what is served."""
    with serving(page) as running:
        for host in ("localhost", f"localhost:{running.port}", f"127.0.0.1:{running.port}"):
            assert b" 200 " in get(running.port, "/", host)
        for host in ("evil.example", f"evil.example:{running.port}", "localhost.evil.example", "169.254.169.254"):
            assert b" 421 " in get(running.port, "/", host)
