"""The scan: layouts recognised, facts read from the bytes, every odd file reported and none fatal."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import struct
import tempfile
import time
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path

import google_crc32c
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from manifest_pictures import make_folder, picture, put
from PIL import ExifTags, Image, JpegImagePlugin

from cxr.errors import InputError, UsageError
from cxr.manifests.image_file import MAGIC, Reading, read_image_file
from cxr.manifests.layout import Place
from cxr.manifests.manifest import Manifest
from cxr.manifests.manifest_file import read_manifest, write_manifest
from cxr.manifests.problems import SCAN_RULES
from cxr.manifests.scan import scan, scan_with_record
from cxr.manifests.scan_record import ScanRecord, frame_of, row_of
from cxr.manifests.tree import TreeFile

KAGGLE = [
    "train/NORMAL/IM-0001-0001.jpeg",
    "train/PNEUMONIA/person1_bacteria_1.jpeg",
    "train/PNEUMONIA/person1_virus_2.jpeg",
    "val/NORMAL/NORMAL2-IM-0003-0001.jpeg",
    "test/PNEUMONIA/person9_bacteria_7.jpeg",
]


def _rules(manifest: Manifest) -> dict[str, str]:
    return {problem.path: problem.rule for problem in manifest.header.problems}


def test_the_kaggle_layout_gives_splits_labels_patients_and_etiologies(tmp_path: Path) -> None:
    rows = scan(make_folder(tmp_path, KAGGLE)).frame.set_index("path")
    assert list(rows["split"]) == ["test", "train", "train", "train", "validation"]
    assert rows.loc[KAGGLE[2], ["label", "etiology", "patient"]].tolist() == ["PNEUMONIA", "viral", "person-viral-1"]
    assert rows.loc[KAGGLE[3], ["label", "etiology", "patient"]].tolist() == ["NORMAL", "", "NORMAL2-IM-3"]


def test_size_checksums_and_pixels_are_those_of_the_bytes(tmp_path: Path) -> None:
    data = picture(5, size=(31, 17))
    put(tmp_path, "A/x.jpeg", data)
    put(tmp_path, "B/y.png", picture(6, format="PNG"))
    first = scan(tmp_path).frame.iloc[0]
    assert (first["width"], first["height"], first["size"]) == (31, 17, len(data))
    assert first["sha256"] == hashlib.sha256(data).hexdigest()
    assert first["crc32c"] == base64.b64encode(google_crc32c.Checksum(data).digest()).decode()


@pytest.mark.parametrize("wrapper", ["", "chest_xray/", "archive/chest_xray/"])
@pytest.mark.parametrize(
    "names", [("train", "val", "test"), ("Training", "VALID", "Test"), ("TRAIN", "validation", "TEST")]
)
def test_split_folders_are_recognised_by_many_names_and_inside_wrappers(
    tmp_path: Path, wrapper: str, names: tuple[str, str, str]
) -> None:
    make_folder(tmp_path, [f"{wrapper}{name}/{label}/{name}{label}.png" for name in names for label in "AB"])
    manifest = scan(tmp_path)
    assert {split: sum(labels.values()) for split, labels in manifest.header.counts.items()} == {
        "train": 2,
        "validation": 2,
        "test": 2,
    }
    assert manifest.root == (tmp_path / wrapper).resolve()


def test_a_folder_of_labels_is_all_train(tmp_path: Path) -> None:
    manifest = scan(make_folder(tmp_path, ["cat/1.jpeg", "cat/deep/2.jpeg", "dog/3.jpeg"]))
    assert manifest.header.counts == {"train": {"cat": 2, "dog": 1}}
    assert manifest.frame["patient"].is_unique


def test_the_copy_inside_the_kaggle_archive_is_left_out_and_told(tmp_path: Path) -> None:
    make_folder(tmp_path, [*KAGGLE, *(f"chest_xray/{name}" for name in KAGGLE)])
    manifest = scan(tmp_path)
    assert manifest.header.images == len(KAGGLE)
    assert _rules(manifest) == {"chest_xray": "outside-layout"}


def test_wrapping_a_folder_does_not_change_the_hash(tmp_path: Path) -> None:
    plain = scan(make_folder(tmp_path / "a", KAGGLE))
    wrapped = scan(make_folder(tmp_path / "b", [f"chest_xray/{name}" for name in KAGGLE]))
    assert sorted(plain.frame["path"]) == sorted(wrapped.frame["path"])
    assert wrapped.hash == plain.hash


def test_same_bytes_share_a_duplicate_group(tmp_path: Path) -> None:
    make_folder(tmp_path, ["A/1.jpeg", "B/2.jpeg"])
    put(tmp_path, "A/3.jpeg", picture(0))
    groups = scan(tmp_path).frame.set_index("path")["duplicate_group"]
    assert groups["A/1.jpeg"] == groups["A/3.jpeg"] != ""
    assert groups["B/2.jpeg"] == ""


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
    assert _rules(manifest).get(REPORTED_AS.get(name, name)) == rule
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
    rules = _rules(manifest)
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
        assert {path: rule for path, rule in _rules(first.manifest).items() if rule != "unknown-patient"} == {
            "A/2.jpeg": "unreadable",
            "C": "unreadable",
        }
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
    assert _rules(first.manifest)["B/large.jpeg"] == "unreadable"
    again = scan_with_record(tmp_path, earlier=first.record)
    assert (again.manifest.header.images, again.reused) == (3, 2)


def test_what_changes_after_it_was_listed_has_the_size_that_was_read_and_is_read_again(tmp_path: Path) -> None:
    data = picture(7)
    path = put(tmp_path, "x.jpeg", data)
    os.utime(path, (1.7e9, 1.7e9))
    status = path.stat()
    times = (status.st_mtime_ns, status.st_ino)
    shorter, whole = (TreeFile("x.jpeg", Place("train", "A"), size, *times) for size in (100, len(data)))
    for listed, reused in ((shorter, False), (whole, True)):
        frame = frame_of([row_of(listed, *read_image_file(path, "x.jpeg", listed.size, Reading()))])
        assert frame["size"].tolist() == [len(data)]
        now = pd.DataFrame({"path": ["x.jpeg"], "size": [len(data)], "mtime_ns": times[:1], "inode": times[1:]})
        record = ScanRecord(tmp_path, Reading(), time.time_ns(), frame)
        assert (record.unchanged(now) >= 0).tolist() == [reused]


def test_an_image_with_too_many_pixels_is_a_problem_not_a_crash(tmp_path: Path) -> None:
    make_folder(tmp_path, ["A/1.jpeg", "B/2.jpeg"])
    header = bytearray(picture(1, format="BMP"))
    header[18:26] = (60_000).to_bytes(4, "little") + (60_000).to_bytes(4, "little")
    put(tmp_path, "A/bomb.bmp", bytes(header))
    assert _rules(scan(tmp_path))["A/bomb.bmp"] == "too-many-pixels"


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
    assert _rules(manifest)[f"A/{name}"] == rule
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
    assert _rules(manifest)["A/colour.png"] == "sixteen-bit"
    assert manifest.frame.set_index("path").loc["A/colour.png", "mode"] == "RGB"


def test_without_a_decode_a_torn_image_passes_and_the_header_says_so(tmp_path: Path) -> None:
    make_folder(tmp_path, ["A/1.jpeg", "B/2.jpeg"])
    put(tmp_path, "A/cut.jpeg", picture(90, size=(200, 200))[:4000])
    assert _rules(scan(tmp_path))["A/cut.jpeg"] == "broken-image"
    manifest = scan(tmp_path, decode=False)
    assert "A/cut.jpeg" in set(manifest.frame["path"])
    assert (manifest.header.decoded, manifest.header.near_duplicates) == (False, False)
    assert _rules(manifest)["."] == "near-duplicates-unknown"


def test_links_that_lead_to_themselves_are_reported(tmp_path: Path) -> None:
    make_folder(tmp_path, ["A/1.jpeg", "B/2.jpeg"])
    (tmp_path / "A" / "loop.jpeg").symlink_to("loop.jpeg")
    (tmp_path / "circle").symlink_to("circle")
    rules = _rules(scan(tmp_path))
    assert rules["A/loop.jpeg"] == "unreadable"
    assert rules["circle"] == "unreadable"


SETS = ["train/A/1.jpeg", "train/B/2.jpeg", "test/A/3.jpeg", "test/B/4.jpeg"]


@pytest.mark.parametrize(
    ("real", "links", "rules"),
    [
        (SETS, {"all": "train"}, {"all": "outside-layout"}),
        (SETS, {"test/A/link": "../../train/A"}, {"test/A/link": "folder-twice"}),
        (SETS, {"train/A/link": "../../test"}, {"train/A/link": "folder-twice"}),
        (SETS, {"extra": "../elsewhere"}, {"extra": "outside-layout"}),
        (
            [f"archive/{path}" for path in SETS],
            {"train": "archive/train", "test": "archive/test", "val": "archive/test/A"},
            {"val": "folder-twice", "archive/test": "folder-twice", "archive/train": "folder-twice"},
        ),
        (
            [f"../elsewhere/{path}" for path in SETS],
            {"train": "../elsewhere/train", "test": "../elsewhere/test", "../elsewhere/test/A/0": "../../train/A"},
            {"test/A/0": "folder-twice"},
        ),
    ],
    ids=["alias", "train-in-test", "test-in-train", "strange-alias", "all-linked", "linked-twice"],
)
def test_a_link_never_takes_images_from_the_folder_that_they_are_in(
    tmp_path: Path, real: list[str], links: dict[str, str], rules: dict[str, str]
) -> None:
    root = tmp_path / "set"
    root.mkdir()
    put(tmp_path, "elsewhere/x/9.jpeg", picture(9))
    make_folder(root, real)
    for name, target in links.items():
        (root / name).symlink_to(target, target_is_directory=True)
    manifest = scan(root)
    counts = {split: sum(labels.values()) for split, labels in manifest.header.counts.items()}
    assert counts == {"train": 2, "test": 2}
    assert {path: rule for path, rule in _rules(manifest).items() if rule != "unknown-patient"} == rules


def test_a_folder_that_is_linked_under_two_names_is_taken_under_the_first(tmp_path: Path) -> None:
    make_folder(tmp_path / "elsewhere", ["1.jpeg", "2.jpeg"])
    make_folder(tmp_path / "set", ["test/B/3.jpeg", "train/B/4.jpeg"])
    for name in ("test/A", "train/A"):
        (tmp_path / "set" / name).symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    manifest = scan(tmp_path / "set")
    assert manifest.header.counts == {"test": {"A": 2, "B": 1}, "train": {"B": 1}}
    assert _rules(manifest)["train/A"] == "folder-twice"


def test_what_lies_beside_the_wrapper_folder_is_told(tmp_path: Path) -> None:
    make_folder(tmp_path, ["set/train/A/1.jpeg", "set/train/B/2.jpeg", "more/x.jpeg"])
    (tmp_path / "__MACOSX").mkdir()
    assert {path: rule for path, rule in _rules(scan(tmp_path)).items() if path.startswith("..")} == {
        "../more": "outside-layout",
        "../__MACOSX": "junk",
    }


def test_a_folder_named_like_a_drive_and_an_unusual_space_are_not_fatal(tmp_path: Path) -> None:
    make_folder(tmp_path, ["C:/1.jpeg", "C:\\data/1.jpeg", "A/with\u202fspace.jpeg", "B/2.jpeg"])
    manifest = scan(tmp_path)
    assert list(manifest.frame["path"]) == ["A/with\u202fspace.jpeg", "B/2.jpeg"]
    rules = _rules(manifest)
    assert (rules["C:/1.jpeg"], rules["C:\\data/1.jpeg"]) == ("bad-name", "bad-name")


def test_files_of_any_date_can_be_scanned_twice(tmp_path: Path) -> None:
    make_folder(tmp_path, ["A/2413.jpeg", "A/1938.jpeg", "B/2.jpeg"])
    try:
        os.utime(tmp_path / "A" / "2413.jpeg", (1.4e10, 1.4e10))
        os.utime(tmp_path / "A" / "1938.jpeg", (-1e9, -1e9))
    except (OSError, OverflowError):
        pytest.skip("this file system has no such dates")
    first = scan_with_record(tmp_path)
    again = scan_with_record(tmp_path, earlier=first.record)
    assert (again.reused, again.manifest.hash) == (1, first.manifest.hash)


@pytest.mark.parametrize("name", ["lost+found", "$RECYCLE.BIN", "System Volume Information"])
def test_what_a_file_system_keeps_at_its_root_is_junk(tmp_path: Path, name: str) -> None:
    make_folder(tmp_path, ["A/1.jpeg", "B/2.jpeg", f"{name}/3.jpeg"])
    manifest = scan(tmp_path)
    assert manifest.classes == ("A", "B")
    assert _rules(manifest)[name] == "junk"


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


def test_unknown_names_are_told_once_with_their_number(tmp_path: Path) -> None:
    manifest = scan(make_folder(tmp_path, ["A/1.jpeg", "A/2.jpeg", "B/IM-1-1.jpeg"]))
    told = [problem for problem in manifest.header.problems if problem.rule == "unknown-patient"]
    assert [problem.message.split("; ")[0] for problem in told] == [
        "the patient key etiology+number tells no patient for 2 of 3 images"
    ]


def test_every_problem_has_a_rule_with_a_fix() -> None:
    assert {rule for _, rule in ODD_FILES.values()} <= set(SCAN_RULES)
    assert all(rule.fix for rule in SCAN_RULES.values())


def test_a_missing_folder_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no folder"):
        scan(tmp_path / "nowhere")


def test_a_file_in_place_of_a_folder_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a file, not a folder"):
        scan(put(tmp_path, "x.zip", b"PK"))


def test_a_folder_without_a_usable_image_is_bad_input_and_says_why(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no usable image"):
        scan(tmp_path)
    for label in "AB":
        put(tmp_path, f"train/{label}/x.jpeg", b"words")
    with pytest.raises(InputError, match=r"train/A/x\.jpeg named \.jpeg"):
        scan(tmp_path)


def test_one_label_only_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="one label, 'NORMAL'"):
        scan(make_folder(tmp_path, ["train/NORMAL/1.jpeg", "test/NORMAL/2.jpeg"]))


def test_labels_differing_only_in_case_are_both_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'NORMAL'.*'Normal'|'Normal'.*'NORMAL'"):
        scan(make_folder(tmp_path, ["train/NORMAL/1.jpeg", "test/Normal/2.jpeg", "train/SICK/3.jpeg"]))


@pytest.mark.parametrize(
    ("names", "spec", "words"),
    [
        (["A/1.jpeg", "A/2.jpeg"], "number", "all 2 files in .* have one label, 'A'"),
        (["A/1.jpeg", "a/2.jpeg", "B/3.jpeg"], "number", "differ only in case"),
        (["A/1.jpeg", "B/1.jpeg"], "csv:{table}", r"row 2: '1.jpeg' may be A/1.jpeg or B/1.jpeg"),
        (["A/7.jpeg", "B/8.jpeg"], "csv:{table}", "has none of the images: it has '1.jpeg', .* is 'A/7.jpeg'"),
        (["A/7.jpeg", "B/8.jpeg"], r"regex:patient(\d+)", "finds a patient in no image's path, such as A/7.jpeg"),
    ],
    ids=["one-label", "case", "ambiguous", "other-table", "other-expression"],
)
def test_what_the_paths_show_to_be_hopeless_is_told_before_a_file_is_read(
    tmp_path: Path, names: list[str], spec: str, words: str
) -> None:
    table = put(tmp_path, "patients.csv", b"file,patient\n1.jpeg,p1\n")
    read: list[int] = []
    with pytest.raises(InputError, match=words):
        scan(
            make_folder(tmp_path / "set", names),
            patient_key=spec.format(table=table),
            on_progress=lambda done, total, note: read.append(done),
        )
    assert sum(read) == 0


def test_several_data_sets_in_one_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"several data sets.*first, second"):
        scan(make_folder(tmp_path, ["first/train/A/1.jpeg", "second/train/A/2.jpeg"]))


def test_an_unknown_patient_key_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        scan(make_folder(tmp_path, KAGGLE), patient_key="name")


def test_progress_counts_every_file(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    scan(make_folder(tmp_path, KAGGLE), on_progress=lambda done, total, note: seen.append((done, total)))
    assert seen[-1] == (len(KAGGLE), len(KAGGLE))


@pytest.mark.xrays
def test_the_real_x_rays_are_all_read(xrays: Path) -> None:
    manifest = scan(xrays)
    if manifest.header.images != 5216:
        pytest.skip("another selection of X-rays")
    assert manifest.header.counts == {
        "train": {"NORMAL": 1133, "PNEUMONIA": 3367},
        "test": {"NORMAL": 200, "PNEUMONIA": 500},
        "validation": {"NORMAL": 8, "PNEUMONIA": 8},
    }
    assert manifest.header.problems == ()
    assert manifest.frame["sha256"].nunique() == 5190
