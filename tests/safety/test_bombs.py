"""Small files that unpack without end, and files that are something else than they are called."""

from __future__ import annotations

import errno
import gzip
import io
import json
import random
import struct
import tarfile
import tracemalloc
import warnings
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cxr.archives import unpack_tar
from cxr.bundle import Preprocessing
from cxr.errors import Fault, InputError
from cxr.importing.labels import MAX_LABEL_BYTES, labels_in_tflite
from cxr.local_baseline.explain.overlay import original_pixels
from cxr.local_baseline.images.preprocess import load_image
from cxr.local_baseline.models import keras_files
from cxr.manifests.scan.image_file import read_image_file
from cxr.manifests.shards.framing import MAX_PAYLOAD, masked_crc32c, read_frames

CONTRACT = Preprocessing(8, 8, 1)
#: Drawn by Ghostscript, where Pillow is let to try.
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n(/etc/passwd) run\nshowpage\n"


def png_of(width: int, height: int) -> bytes:
    """A PNG of so many black pixels, 1 bit each, in a thousandth of their bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer = zlib.compressobj(9)
    row = bytes(1 + (width + 7) // 8)
    packed = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


@pytest.fixture(scope="module")
def bomb() -> bytes:
    """400 megapixels in 50 kB."""
    data = png_of(20_000, 20_000)
    assert len(data) < 100_000
    return data


def jpeg_that_claims(width: int, height: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(stream, "JPEG")
    data = stream.getvalue()
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]


def test_a_scan_takes_no_bomb_for_an_image(tmp_path: Path, bomb: bytes) -> None:
    for name, data in (("a.png", bomb), ("b.jpeg", jpeg_that_claims(65_500, 65_500))):
        (tmp_path / name).write_bytes(data)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            facts, problems = read_image_file(tmp_path / name, name, len(data))
        assert facts is None
        assert problems[0].rule == "too-many-pixels"


def test_no_bomb_is_decoded_for_a_model_or_an_explanation(bomb: bytes) -> None:
    """The manifest that names it may be somebody else's: what a scan would have found is looked for again."""
    for data in (bomb, png_of(15_000, 8_000), jpeg_that_claims(65_500, 65_500)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with pytest.raises(InputError, match="cannot be decoded"):
                load_image(data, CONTRACT)
            with pytest.raises(InputError, match="cannot be decoded"):
                original_pixels(data, "a.png")


def test_a_program_for_a_printer_is_no_image(tmp_path: Path) -> None:
    (tmp_path / "a.jpeg").write_bytes(EPS)
    assert read_image_file(tmp_path / "a.jpeg", "a.jpeg", len(EPS))[0] is None
    with pytest.raises(InputError, match="not an image"):
        load_image(EPS, CONTRACT)
    with pytest.raises(InputError, match="cannot be decoded"):
        original_pixels(EPS, "a.jpeg")


def test_an_image_that_ends_early_is_told() -> None:
    stream = io.BytesIO()
    Image.fromarray(np.arange(64 * 64, dtype=np.uint8).reshape(64, 64)).save(stream, "PNG")
    for size in (0, 1, 20, 60, len(stream.getvalue()) // 2):
        with pytest.raises(InputError):
            load_image(stream.getvalue()[:size], CONTRACT)


def zeros(stream: io.BytesIO, size: int) -> None:
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        member = tarfile.TarInfo("model")
        member.size = size
        archive.addfile(member, io.BytesIO(bytes(size)))
    stream.seek(0)


def test_an_archive_that_says_it_is_too_large_is_not_unpacked(tmp_path: Path) -> None:
    stream = io.BytesIO()
    zeros(stream, 4 << 20)
    with pytest.raises(InputError, match="no model has so much"):
        unpack_tar(stream, tmp_path, name="model.tar.gz", max_bytes=1 << 20)
    assert list(tmp_path.iterdir()) == []


def test_an_archive_of_very_many_files_is_not_unpacked_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cxr.archives.MAX_MEMBERS", 10)
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for number in range(20):
            archive.addfile(tarfile.TarInfo(f"{number}"))
    stream.seek(0)
    with pytest.raises(InputError, match="no model has so much"):
        unpack_tar(stream, tmp_path, name="model.tar.gz")
    assert len(list(tmp_path.iterdir())) == 10


def longest_header(kind: bytes, size: int) -> io.BytesIO:
    """A tar that begins with a header of so many bytes."""
    stream = io.BytesIO()
    member = tarfile.TarInfo("header")
    member.type, member.size = kind, size
    with gzip.open(stream, "wb") as packed:
        packed.write(member.tobuf(tarfile.USTAR_FORMAT))
        for _ in range(size >> 20):
            packed.write(bytes(1 << 20))
    stream.seek(0)
    return stream


@pytest.mark.parametrize("kind", [b"x", b"g", b"L", b"K"])
def test_a_header_that_is_longer_than_any_is_not_read(tmp_path: Path, kind: bytes) -> None:
    stream = longest_header(kind, 64 << 20)
    tracemalloc.start()
    with pytest.raises(InputError, match="headers more than files"):
        unpack_tar(stream, tmp_path, name="model.tar.gz", max_bytes=1 << 20)
    taken = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert taken < 4 << 20


def test_headers_without_end_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cxr.archives.MAX_ALL_HEADER_BYTES", 1 << 20)
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for number in range(5):
            member = tarfile.TarInfo(f"{number}")
            member.pax_headers = {f"a{number}": "x" * (300 << 10)}
            archive.addfile(member)
    stream.seek(0)
    with pytest.raises(InputError, match="headers more than files"):
        unpack_tar(stream, tmp_path, name="model.tar")


def test_headers_that_announce_headers_are_refused(tmp_path: Path) -> None:
    record = b"9 a=bcde\n"
    member = tarfile.TarInfo("header")
    member.type, member.size = b"x", len(record)
    block = member.tobuf(tarfile.USTAR_FORMAT) + record.ljust(512, b"\0")
    with pytest.raises(InputError, match="cannot be unpacked"):
        unpack_tar(io.BytesIO(block * 5_000), tmp_path, name="model.tar")


def test_what_lies_far_behind_a_small_file_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sparse file says how large it will be, and how much of the archive it takes, which is what is read over."""
    monkeypatch.setattr("cxr.archives.MAX_ALL_HEADER_BYTES", 1 << 20)
    member = tarfile.TarInfo("sparse")
    member.type, member.size = tarfile.GNUTYPE_SPARSE, 1 << 40
    block = bytearray(member.tobuf(tarfile.GNU_FORMAT))
    block[482:495] = b"00000000000\0\0"  # no further map, and nothing once it is unpacked
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    with pytest.raises(InputError, match="no model has so much"):
        unpack_tar(io.BytesIO(bytes(block) + bytes(1 << 20)), tmp_path, name="model.tar", max_bytes=1 << 20)


@pytest.mark.parametrize("packing", ["", "gz", "bz2", "xz"])
def test_an_archive_is_unpacked_however_it_is_packed(tmp_path: Path, packing: str) -> None:
    path = tmp_path / "model.tar"
    with tarfile.open(path, f"w:{packing}") as archive:  # type: ignore[call-overload]
        for name, size in (("a" * 90 + "/" + "b" * 90, 5), ("c", 100_000), ("ö" * 60, 0)):
            member = tarfile.TarInfo(name)
            member.size = size
            archive.addfile(member, io.BytesIO(bytes(size)))
    folder = tmp_path / "folder"
    for number, source in enumerate((path, io.BytesIO(path.read_bytes()))):
        unpack_tar(source, folder / f"{number}", name="model.tar")
        sizes = {one.name: one.stat().st_size for one in (folder / f"{number}").rglob("*") if one.is_file()}
        assert sizes == {"b" * 90: 5, "c": 100_000, "ö" * 60: 0}
        assert isinstance(source, Path) or not source.closed


@pytest.mark.parametrize("packing", ["gz", "bz2", "xz"])
@pytest.mark.parametrize("at", [0.1, 0.5, 0.9])
def test_a_damaged_archive_is_told(tmp_path: Path, packing: str, at: float) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=f"w:{packing}") as archive:  # type: ignore[call-overload]
        member = tarfile.TarInfo("model")
        member.size = 50_000
        archive.addfile(member, io.BytesIO(random.Random(1).randbytes(member.size)))
    data = bytearray(stream.getvalue())
    place = int(len(data) * at)
    data[place : place + 64] = bytes(64)
    with pytest.raises(InputError, match="cannot be unpacked"):
        unpack_tar(io.BytesIO(bytes(data)), tmp_path, name="model.tar")


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, 99], ids=str)
def test_a_damaged_member_of_a_zip_is_told(tmp_path: Path, method: int) -> None:
    """99 is a packing (encrypted by AES) that Python does not have."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED if method == 99 else method) as archive:
        archive.writestr("config.json", json.dumps({"a": list(range(5_000))}))
        archive.writestr("labels.txt", "\n".join(f"label {number}" for number in range(5_000)))
        members = archive.infolist()
    data = bytearray(stream.getvalue())
    for member in members:
        place = member.header_offset + 30 + len(member.filename) + 12
        data[place : place + 100] = b"\xff" * 100
        if method == 99:
            data[member.header_offset + 8 : member.header_offset + 10] = struct.pack("<H", 99)
            record = data.index(member.filename.encode(), archive.start_dir) - 46
            data[record + 10 : record + 12] = struct.pack("<H", 99)
    for name in ("model.keras", "model.tflite"):
        (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match="cannot load the model"):
        keras_files.check_keras_file(tmp_path / "model.keras")
    assert labels_in_tflite(tmp_path / "model.tflite") == ()


def test_a_full_disk_is_no_fault_of_the_archive(tmp_path: Path) -> None:
    class Full(io.BytesIO):
        """What tarfile's writing would raise, raised where it can be without a disk that is full."""

        def read(self, size: int | None = -1) -> bytes:
            if self.tell() > 600:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().read(size)

    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        member = tarfile.TarInfo("model")
        member.size = 50_000
        archive.addfile(member, io.BytesIO(bytes(member.size)))
    with pytest.raises(Fault, match="No space left") as raised:
        unpack_tar(Full(stream.getvalue()), tmp_path, name="model.tar")
    assert "make room" in (raised.value.hint or "")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_an_archive_that_ends_early_is_told(tmp_path: Path, share: float) -> None:
    stream = io.BytesIO()
    zeros(stream, 1 << 20)
    data = stream.getvalue()[: int(len(stream.getvalue()) * share)]
    with pytest.raises(InputError, match="cannot be unpacked"):
        unpack_tar(io.BytesIO(data), tmp_path, name="model.tar.gz")


def test_a_list_of_labels_that_unpacks_without_end_is_none(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("labels.txt", b"A\n" * MAX_LABEL_BYTES)
    assert path.stat().st_size < 100_000
    assert labels_in_tflite(path) == ()


def test_a_keras_file_that_unpacks_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras_files, "MAX_MODEL_BYTES", 1 << 20)
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("model.weights.h5", bytes(2 << 20))
    with pytest.raises(InputError, match="unpacks to more"):
        keras_files.check_keras_file(path)


def test_a_record_that_claims_gigabytes_is_refused_before_they_are_read() -> None:
    for size in (MAX_PAYLOAD + 1, 1 << 62):
        length = struct.pack("<Q", size)
        head = length + struct.pack("<I", masked_crc32c(length))
        with pytest.raises(InputError, match="more than a record can have"):
            list(read_frames(io.BytesIO(head + b"x" * 100), "a.tfrecord"))
