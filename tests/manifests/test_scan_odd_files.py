"""The scan of odd files: every one is reported by path and rule, and none is fatal."""

from __future__ import annotations

import io
import os
import struct
import tempfile
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from manifest_pictures import make_folder, picture, put
from PIL import ExifTags, Image, JpegImagePlugin
from scanned import rules_of

from cxr.manifests.manifest_file import read_manifest, write_manifest
from cxr.manifests.scan.folder import scan, scan_with_record
from cxr.manifests.scan.image_file import MAGIC, Reading, read_image_file
from cxr.manifests.scan.problems import SCAN_RULES

ODD_FILES = {
    "train/A/empty.jpeg": (b"", "empty-file"),
    "train/A/notes.jpeg": (b"not a picture at all\n" * 20, "not-an-image"),
    "train/A/cut.jpeg": (picture(90, size=(200, 200))[:4000], "broken-image"),
    "train/A/cut.png": (picture(91, format="PNG", size=(90, 90))[:3000], "broken-image"),
    "train/A/scan.dcm": (b"\0" * 128 + b"DICM" + b"\0" * 64, "dicom-file"),
    "train/A/hidden.jpeg": (b"\0" * 128 + b"DICM" + b"\0" * 64, "dicom-file"),
    "train/A/really.png": (picture(92), "wrong-suffix"),
    "train/A/README.txt": (b"words", "other-file"),
    "train/A/.DS_Store": (b"\0\0\0\1Bud1", "junk"),
    "train/A/._x.jpeg": (b"\0\5\x16\7", "junk"),
    "train/B/Thumbs.db": (b"\xd0\xcf\x11\xe0", "junk"),
    "train/stray.jpeg": (picture(93), "no-label"),
    "extra/C/x.jpeg": (picture(94), "outside-layout"),
    "__MACOSX/train/A/1.jpeg": (picture(95), "junk"),
    "train/A/new\nline.jpeg": (picture(96), "bad-name"),
}
REPORTED_AS = {
    "extra/C/x.jpeg": "extra",
    "__MACOSX/train/A/1.jpeg": "__MACOSX",
    "train/A/new\nline.jpeg": "train/A/new\\x0aline.jpeg",
}


@pytest.mark.parametrize("name", ODD_FILES, ids=lambda name: repr(name))
def test_an_odd_file_is_reported_by_path_and_rule_and_is_not_fatal(tmp_path: Path, name: str) -> None:
    make_folder(tmp_path, ["train/A/IM-1-1.jpeg", "train/B/IM-2-1.jpeg"])
    data, rule = ODD_FILES[name]
    put(tmp_path, name, data)
    manifest = scan(tmp_path)
    assert rules_of(manifest.header.problems).get(REPORTED_AS.get(name, name)) == rule
    kept = name in set(manifest.frame["path"])
    assert kept == (rule == "wrong-suffix")
    assert manifest.header.images == 2 + kept


def test_names_that_are_not_utf8_links_in_a_circle_and_pipes_are_reported(tmp_path: Path) -> None:
    make_folder(tmp_path, ["train/A/1.jpeg", "train/B/2.jpeg"])
    bad = os.fsencode(tmp_path) + b"/train/A/caf\xe9.jpeg"
    try:
        Path(os.fsdecode(bad)).write_bytes(picture(3))
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    (tmp_path / "train" / "A" / "again").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "train" / "A" / "gone.jpeg").symlink_to(tmp_path / "nowhere.jpeg")
    os.mkfifo(tmp_path / "train" / "B" / "pipe.jpeg")
    manifest = scan(tmp_path)
    assert manifest.header.images == 2
    rules = rules_of(manifest.header.problems)
    assert rules["train/A/caf\\xe9.jpeg"] == "bad-name"
    assert rules["train/A/again"] == "folder-twice"
    assert rules["train/A/gone.jpeg"] == "unreadable"
    assert rules["train/B/pipe.jpeg"] == "other-file"
    assert read_manifest(write_manifest(manifest, tmp_path / "m.csv").location or Path()).hash == manifest.hash


@pytest.fixture
def as_nobody() -> Iterator[Path]:
    """A folder, and no right to read what its owner may not (root may read everything)."""
    if not hasattr(os, "seteuid"):
        pytest.skip("permissions are another matter here")
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        before = os.geteuid()
        os.seteuid(before or 65534)
        try:
            yield Path(name)
        finally:
            os.seteuid(before)


def test_what_may_not_be_read_is_reported_and_read_when_it_may_be(as_nobody: Path) -> None:
    make_folder(as_nobody, ["A/1.jpeg", "A/2.jpeg", "B/3.jpeg", "C/4.jpeg"])
    for path in as_nobody.rglob("*.jpeg"):
        os.utime(path, (1.7e9, 1.7e9))
    closed = (as_nobody / "A" / "2.jpeg", as_nobody / "C")
    try:
        for path in closed:
            path.chmod(0)
        first = scan_with_record(as_nobody)
        told = [problem for problem in first.manifest.header.problems if problem.rule != "unknown-patient"]
        assert rules_of(told) == {"A/2.jpeg": "unreadable", "C": "unreadable"}
    finally:
        for path in closed:
            path.chmod(0o755)
    again = scan_with_record(as_nobody, earlier=first.record)
    assert (again.manifest.header.images, again.reused) == (4, 2)


def test_what_did_not_fit_into_memory_is_read_again_next_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_folder(tmp_path, ["A/1.jpeg", "B/2.jpeg"])
    put(tmp_path, "B/large.jpeg", picture(3, size=(60, 50)))
    for path in tmp_path.rglob("*.jpeg"):
        os.utime(path, (1.7e9, 1.7e9))
    prepare = JpegImagePlugin.JpegImageFile.load_prepare

    def exhausted(image: JpegImagePlugin.JpegImageFile) -> None:
        if image.size == (60, 50):
            raise MemoryError
        prepare(image)

    with monkeypatch.context() as patch:
        patch.setattr(JpegImagePlugin.JpegImageFile, "load_prepare", exhausted)
        first = scan_with_record(tmp_path)
    assert rules_of(first.manifest.header.problems)["B/large.jpeg"] == "unreadable"
    again = scan_with_record(tmp_path, earlier=first.record)
    assert (again.manifest.header.images, again.reused) == (3, 2)


def test_an_image_with_too_many_pixels_is_a_problem_not_a_crash(tmp_path: Path) -> None:
    make_folder(tmp_path, ["A/1.jpeg", "B/2.jpeg"])
    header = bytearray(picture(1, format="BMP"))
    header[18:26] = (60_000).to_bytes(4, "little") + (60_000).to_bytes(4, "little")
    put(tmp_path, "A/bomb.bmp", bytes(header))
    assert rules_of(scan(tmp_path).header.problems)["A/bomb.bmp"] == "too-many-pixels"


def _saved(image: Image.Image, format: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format=format, **options)
    return stream.getvalue()


def _noise(mode: str) -> Image.Image:
    return Image.open(io.BytesIO(picture(50, size=(40, 40)))).convert(mode)


def _frames() -> dict[str, object]:
    return {"save_all": True, "append_images": [_noise("L").rotate(90)]}


def _turned() -> bytes:
    tags = Image.Exif()
    tags[ExifTags.Base.Orientation] = 6
    return _saved(_noise("L"), "JPEG", exif=tags)


KEPT_WITH_A_WORD = {
    "cmyk.jpeg": (lambda: _saved(_noise("CMYK"), "JPEG"), "cmyk", "CMYK", 1),
    "deep.png": (lambda: _saved(_noise("L").convert("I").convert("I;16"), "PNG"), "sixteen-bit", "I;16", 1),
    "float.tiff": (lambda: _saved(_noise("F"), "TIFF"), "sixteen-bit", "F", 1),
    "film.gif": (lambda: _saved(_noise("L"), "GIF", **_frames()), "animated", "L", 1),
    "film.png": (lambda: _saved(_noise("L"), "PNG", **_frames()), "animated", "L", 1),
    "film.webp": (lambda: _saved(_noise("RGB"), "WEBP", **_frames()), "animated", "RGB", 1),
    "pages.tiff": (lambda: _saved(_noise("L"), "TIFF", **_frames()), "animated", "L", 1),
    "turned.jpeg": (_turned, "rotated", "L", 6),
}


@pytest.mark.parametrize("decode", [True, False], ids=["decode", "header"])
@pytest.mark.parametrize("name", KEPT_WITH_A_WORD)
def test_what_decodes_but_perhaps_not_as_meant_is_kept_and_told(tmp_path: Path, name: str, decode: bool) -> None:
    make_folder(tmp_path, ["A/1.jpeg", "B/2.jpeg"])
    make, rule, mode, orientation = KEPT_WITH_A_WORD[name]
    put(tmp_path, f"A/{name}", make())
    manifest = scan(tmp_path, decode=decode)
    assert rules_of(manifest.header.problems)[f"A/{name}"] == rule
    row = manifest.frame.set_index("path").loc[f"A/{name}"]
    assert (row["mode"], row["orientation"], row["width"]) == (mode, orientation, 40)
    assert SCAN_RULES[rule].severity == "warning"


@pytest.mark.parametrize("decode", [True, False], ids=["decode", "header"])
@pytest.mark.parametrize("name", ["x.tiff", "x.jpeg", "x.png", "x.webp"])
def test_a_turned_image_has_the_size_that_is_stored(tmp_path: Path, name: str, decode: bool) -> None:
    tags = Image.Exif()
    tags[ExifTags.Base.Orientation] = 6
    format = name.partition(".")[2].upper()
    data = _saved(Image.new("RGB", (40, 20)), format, exif=tags)
    facts, found = read_image_file(put(tmp_path, name, data), name, len(data), Reading(decode))
    assert facts is not None
    assert (facts.width, facts.height) == (40, 20)
    if decode or format != "PNG":  # a PNG's tags may come after its pixels
        assert (facts.orientation, [one.rule for one in found]) == (6, ["rotated"])


def test_colour_of_16_bits_is_told_although_pillow_opens_it_as_8(tmp_path: Path) -> None:
    make_folder(tmp_path, ["A/1.jpeg", "B/2.jpeg"])
    rows = b"".join(b"\0" + bytes(6 * 8) for _ in range(8))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 8, 8, 16, 2, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    put(tmp_path, "A/colour.png", png)
    manifest = scan(tmp_path)
    assert rules_of(manifest.header.problems)["A/colour.png"] == "sixteen-bit"
    assert manifest.frame.set_index("path").loc["A/colour.png", "mode"] == "RGB"


def test_without_a_decode_a_torn_image_passes_and_the_header_says_so(tmp_path: Path) -> None:
    make_folder(tmp_path, ["A/1.jpeg", "B/2.jpeg"])
    put(tmp_path, "A/cut.jpeg", picture(90, size=(200, 200))[:4000])
    assert rules_of(scan(tmp_path).header.problems)["A/cut.jpeg"] == "broken-image"
    manifest = scan(tmp_path, decode=False)
    assert "A/cut.jpeg" in set(manifest.frame["path"])
    assert (manifest.header.decoded, manifest.header.near_duplicates) == (False, False)
    assert rules_of(manifest.header.problems)["."] == "near-duplicates-unknown"


def test_a_folder_named_like_a_drive_and_an_unusual_space_are_not_fatal(tmp_path: Path) -> None:
    make_folder(tmp_path, ["C:/1.jpeg", "C:\\data/1.jpeg", "A/with\u202fspace.jpeg", "B/2.jpeg"])
    manifest = scan(tmp_path)
    assert list(manifest.frame["path"]) == ["A/with\u202fspace.jpeg", "B/2.jpeg"]
    rules = rules_of(manifest.header.problems)
    assert (rules["C:/1.jpeg"], rules["C:\\data/1.jpeg"]) == ("bad-name", "bad-name")


@pytest.mark.parametrize("name", ["lost+found", "$RECYCLE.BIN", "System Volume Information"])
def test_what_a_file_system_keeps_at_its_root_is_junk(tmp_path: Path, name: str) -> None:
    make_folder(tmp_path, ["A/1.jpeg", "B/2.jpeg", f"{name}/3.jpeg"])
    manifest = scan(tmp_path)
    assert manifest.classes == ("A", "B")
    assert rules_of(manifest.header.problems)[name] == "junk"


@settings(max_examples=150, deadline=None)
@given(data=st.binary(max_size=400), magic=st.sampled_from([b"", *MAGIC, b"BM", b"II*\0", b"RIFF\0\0\0\0WEBP"]))
def test_no_bytes_are_fatal(data: bytes, magic: bytes) -> None:
    with tempfile.TemporaryDirectory() as name, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = put(Path(name), "x.jpeg", magic + data)
        facts, found = read_image_file(path, "x.jpeg", len(magic + data), Reading(hashed=True))
    assert facts is not None or found


@settings(max_examples=150, deadline=None)
@given(at=st.integers(0, 700), patch=st.binary(min_size=1, max_size=8), name=st.sampled_from(sorted(KEPT_WITH_A_WORD)))
def test_no_damaged_header_is_fatal(at: int, patch: bytes, name: str) -> None:
    data = bytearray(KEPT_WITH_A_WORD[name][0]())
    data[at : at + len(patch)] = patch
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = put(Path(folder), name, bytes(data))
        facts, found = read_image_file(path, name, len(data), Reading(hashed=True))
    assert facts is not None or found


def test_every_problem_has_a_rule_with_a_fix() -> None:
    assert {rule for _, rule in ODD_FILES.values()} <= set(SCAN_RULES)
    assert all(rule.fix for rule in SCAN_RULES.values())
