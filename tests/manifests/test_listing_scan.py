"""A manifest from a listing alone: the rows that a folder would give, without pixels; on real servers on loopback."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from manifest_pictures import make_folder, picture, put
from scanned import KAGGLE, Listed, rules_of

from cxr.errors import InputError, NotAllowed, NotFound, Unreachable, UsageError
from cxr.manifests.manifest import Manifest
from cxr.manifests.manifest_file import read_manifest, write_manifest
from cxr.manifests.scan.folder import scan
from cxr.manifests.scan.listing import scan_listing
from cxr.manifests.scan.problems import printable
from cxr.settings import Settings
from cxr.storage import ObjectInfo, open_listing, open_store
from cxr.storage.amazon.store import S3Listing

URL = "gs://bucket/xrays"


def _info(name: str, size: int = 10, crc32c: str = "", md5: str = "") -> ObjectInfo:
    return ObjectInfo(name, size, crc32c, md5=md5)


def _listed(names: list[str], **options: Any) -> Manifest:
    objects = [_info(name, crc32c=f"AAA{n:03d}==") for n, name in enumerate(names)]
    return scan_listing(Listed(objects, URL), **options)


def test_names_tell_splits_labels_and_patients_as_in_a_folder(tmp_path: Path) -> None:
    columns = ["path", "label", "etiology", "patient", "split"]
    listed, local = _listed(KAGGLE), scan(make_folder(tmp_path, KAGGLE))
    assert listed.frame[columns].equals(local.frame[columns])
    assert (listed.header.root, listed.is_remote) == (URL, True)
    assert (listed.header.decoded, listed.header.near_duplicates) == (False, False)
    blank = listed.frame[["width", "height", "mode", "format", "orientation", "sha256"]].drop_duplicates()
    assert blank.to_numpy().tolist() == [[0, 0, "", "", 0, ""]]


def test_it_is_written_and_read_with_its_url(tmp_path: Path) -> None:
    made = write_manifest(_listed(KAGGLE), tmp_path / "m.csv")
    assert read_manifest(tmp_path / "m.csv").header.root == URL
    assert read_manifest(tmp_path / "m.csv").hash == made.hash


def test_a_wrapper_folder_becomes_part_of_the_root_and_its_neighbours_are_told() -> None:
    manifest = _listed([*(f"archive/chest_xray/{name}" for name in KAGGLE), "archive/notes/x.txt", "__MACOSX/y"])
    assert manifest.header.root == f"{URL}/archive/chest_xray"
    assert sorted(manifest.frame["path"]) == sorted(KAGGLE)
    assert rules_of(manifest.header.problems) == {"../notes": "outside-layout", "../../__MACOSX": "junk"}


def test_folders_of_labels_are_all_train_and_folder_marks_are_no_files() -> None:
    for wrapper in ("", "set/"):
        marks = ["", wrapper] if wrapper else [""]
        rest = ["A/", "A/1.jpeg", "A/deep/2.png", "B/", "B/3.jpeg"]
        names = [*marks, *(f"{wrapper}{'train/' if wrapper else ''}{name}" for name in rest)]
        manifest = _listed(names)
        assert manifest.header.counts == {"train": {"A": 2, "B": 1}}
        assert set(rules_of(manifest.header.problems).values()) == {"unknown-patient"}


def test_folders_may_be_a_thousand_deep() -> None:
    deep = "a/" * 1200
    manifest = _listed([f"{deep}train/{label}/IM-1-1.jpeg" for label in "AB"])
    assert manifest.header.root == f"{URL}/{deep}".rstrip("/")
    with pytest.raises(InputError, match="one label, 'a'"):
        _listed([f"{deep}1.jpeg"])


ODD = {
    "train/A/.DS_Store": "junk",
    "train/A/notes.txt": "other-file",
    "train/A/scan.dcm": "other-file",
    "train/stray.jpeg": "no-label",
    "train/A//twice.jpeg": "bad-name",
    "train/A/../up.jpeg": "bad-name",
    "train/A/new\nline.jpeg": "bad-name",
    "extra/C/x.jpeg": "outside-layout",
    "train/__MACOSX/A/x.jpeg": "junk",
}
REPORTED_AS = {
    "extra/C/x.jpeg": "extra",
    "train/__MACOSX/A/x.jpeg": "train/__MACOSX",
    "train/A/new\nline.jpeg": "train/A/new\\x0aline.jpeg",
}


@pytest.mark.parametrize("name", ODD, ids=repr)
def test_an_odd_object_is_reported_by_name_and_rule(name: str) -> None:
    manifest = _listed([*KAGGLE, name])
    assert rules_of(manifest.header.problems) == {REPORTED_AS.get(name, name): ODD[name]}
    assert manifest.header.images == len(KAGGLE)


_PARTS = st.text(alphabet="ab.:\\~\n\u202f\u2028é %", min_size=0, max_size=4)


@settings(max_examples=100, deadline=None)
@given(
    names=st.lists(st.lists(_PARTS | st.just("C:\\x"), min_size=1, max_size=4), max_size=6),
    within=st.sampled_from(["", "train/"]),
)
def test_no_object_name_is_fatal_and_each_is_in_the_manifest_or_told(names: list[list[str]], within: str) -> None:
    odd = {f"{within}{'/'.join(parts)}.png" for parts in names}
    manifest = _listed([*(KAGGLE if within else ["K/1.png", "L/2.png"]), *sorted(odd)])
    told = {problem.path for problem in manifest.header.problems}
    for name in odd - set(manifest.frame["path"]):
        shown = printable(name)
        assert any(shown == path or shown.startswith(f"{path}/") for path in told)


def test_sizes_that_no_image_has_are_reported() -> None:
    objects = [*map(_info, KAGGLE), _info("train/NORMAL/none.jpeg", 0), _info("train/NORMAL/huge.png", 1 << 30)]
    assert rules_of(scan_listing(Listed(objects, URL)).header.problems) == {
        "train/NORMAL/none.jpeg": "empty-file",
        "train/NORMAL/huge.png": "too-large",
    }


def test_duplicates_are_found_by_md5_or_by_size_and_crc32c() -> None:
    same, other = hashlib.md5(b"1").hexdigest(), hashlib.md5(b"2").hexdigest()
    objects = [
        _info("A/1.jpeg", 10, "AAAAAA==", same),
        _info("A/2.jpeg", 10, "AAAAAA==", same),
        _info("A/composed.jpeg", 10, "AAAAAA=="),
        _info("A/larger.jpeg", 11, "AAAAAA=="),
        _info("B/3.jpeg", 20, "BBBBBA=="),
        _info("B/4.jpeg", 20, "BBBBBA=="),
        _info("B/collision.jpeg", 10, "AAAAAA==", other),
        _info("B/unknown-1.jpeg", 10),
        _info("B/unknown-2.jpeg", 10),
    ]
    groups = scan_listing(Listed(objects, URL)).frame.set_index("path")["duplicate_group"]
    members = [sorted(paths.index) for key, paths in groups[groups != ""].groupby(groups)]
    assert sorted(members) == [["A/1.jpeg", "A/2.jpeg", "A/composed.jpeg"], ["B/3.jpeg", "B/4.jpeg"]]
    assert all(key.startswith("same:") and len(key) == 21 for key in set(groups) - {""})


def test_an_empty_prefix_and_one_label_are_bad_input() -> None:
    with pytest.raises(InputError, match="no usable image in gs://bucket/xrays"):
        _listed([])
    with pytest.raises(InputError, match="one label, 'A'"):
        _listed(["A/1.jpeg"])
    with pytest.raises(InputError, match=r"several data sets.*one, two"):
        _listed(["one/train/A/1.jpeg", "two/train/A/1.jpeg"])


def test_another_kind_of_url_and_a_wrong_patient_key_are_usage_errors() -> None:
    with pytest.raises(UsageError, match="ftp://host"):
        scan_listing(open_listing("ftp://host/x"))
    with pytest.raises(UsageError):
        scan_listing(Listed(iter(())), patient_key="surname")


def _agrees_with_the_folder(listed: Manifest, folder: Path, columns: list[str]) -> None:
    local = scan(folder).frame
    assert listed.frame[columns].equals(local[columns])
    assert (listed.frame["duplicate_group"] != "").tolist() == (local["duplicate_group"] != "").tolist()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five images, one of them twice, and a leftover."""
    made = make_folder(tmp_path / "images", KAGGLE)
    put(made, "train/NORMAL/IM-0002-0001.jpeg", picture(0))
    return made


def test_a_bucket_of_cloud_storage(local_cloud: Settings, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cxr.cloud.connection import connect
    from cxr.storage.buckets import create_private_bucket

    connection = connect(local_cloud)
    bucket = f"listed-{uuid.uuid4().hex[:8]}"
    create_private_bucket(bucket, region="us-central1", endpoint=connection.endpoint, project=connection.project)
    store = open_store(f"gs://{bucket}/xrays", endpoint=connection.endpoint)
    for path in folder.rglob("*.jpeg"):
        store.put_file(path.relative_to(folder).as_posix(), path)
    store.put_bytes("train/.DS_Store", b"x")
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", str(connection.endpoint))
    listed = scan_listing(open_listing(f"gs://{bucket}/xrays"))
    assert listed.header.root == f"gs://{bucket}/xrays"
    _agrees_with_the_folder(listed, folder, ["path", "label", "split", "patient", "size", "crc32c", "md5"])
    assert rules_of(listed.header.problems) == {"train/.DS_Store": "junk"}
    with pytest.raises(InputError):
        scan_listing(open_listing("gs://there-is-no-such-bucket-here"))


@pytest.fixture(scope="module")
def s3() -> Iterator[Any]:
    """boto3's client of a real server on loopback that speaks S3."""
    boto3 = pytest.importorskip("boto3", reason='needs the extra: pip install "cxr[aws]"')
    server_module = pytest.importorskip("moto.server", reason="needs moto[s3,server] of the dev group")
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "nobody")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        yield boto3.client("s3")
    server.stop()


@pytest.fixture
def s3_bucket(s3: Any) -> str:
    """A new, empty bucket."""
    name = f"listed-{uuid.uuid4().hex[:8]}"
    s3.create_bucket(Bucket=name)
    return name


def test_a_bucket_of_s3(s3: Any, s3_bucket: str, folder: Path) -> None:
    for path in folder.rglob("*.jpeg"):
        s3.upload_file(str(path), s3_bucket, f"xrays/{path.relative_to(folder).as_posix()}")
    listed = scan_listing(open_listing(f"s3://{s3_bucket}/xrays"))
    assert listed.header.root == f"s3://{s3_bucket}/xrays"
    _agrees_with_the_folder(listed, folder, ["path", "label", "split", "patient", "size", "md5"])
    assert set(listed.frame["crc32c"]) == {""}


def test_s3_is_listed_page_by_page(s3: Any, s3_bucket: str) -> None:
    for number in range(11):
        s3.put_object(Bucket=s3_bucket, Key=f"xrays/{'AB'[number % 2]}/{number}.jpeg", Body=b"x")
    s3.put_object(Bucket=s3_bucket, Key="xrays-of-others/A/1.jpeg", Body=b"x")
    names = [info.name for info in S3Listing(s3, s3_bucket, "xrays", page_size=3).list()]
    assert names == sorted(f"{'AB'[number % 2]}/{number}.jpeg" for number in range(11))


def test_the_etag_of_an_upload_in_parts_is_no_md5(s3: Any, s3_bucket: str) -> None:
    part = b"\0" * (5 << 20)
    upload = s3.create_multipart_upload(Bucket=s3_bucket, Key="A/parts.jpeg")["UploadId"]
    names = {"Bucket": s3_bucket, "Key": "A/parts.jpeg", "UploadId": upload}
    tags = [s3.upload_part(**names, PartNumber=n, Body=part)["ETag"] for n in (1, 2)]
    parts = [{"PartNumber": n, "ETag": tag} for n, tag in enumerate(tags, 1)]
    s3.complete_multipart_upload(**names, MultipartUpload={"Parts": parts})
    s3.put_object(Bucket=s3_bucket, Key="B/whole.jpeg", Body=b"whole")
    md5s = {info.name: info.md5 for info in open_listing(f"s3://{s3_bucket}").list()}
    assert md5s == {"A/parts.jpeg": "", "B/whole.jpeg": hashlib.md5(b"whole").hexdigest()}


def test_the_etag_of_an_object_encrypted_by_kms_is_not_taken_for_an_md5(s3: Any, s3_bucket: str) -> None:
    s3.put_object(Bucket=s3_bucket, Key="A/1.jpeg", Body=b"x", ServerSideEncryption="aws:kms")
    assert [info.md5 for info in open_listing(f"s3://{s3_bucket}").list()] == [""]


def test_each_page_of_a_listing_is_asked_for_its_encryption(s3: Any, s3_bucket: str) -> None:
    for name, encryption in (("1", {}), ("2", {}), ("3", {"ServerSideEncryption": "aws:kms"}), ("4", {}), ("5", {})):
        s3.put_object(Bucket=s3_bucket, Key=name, Body=b"x", **encryption)
    md5s = [info.md5 for info in S3Listing(s3, s3_bucket, "", page_size=2).list()]
    assert [bool(md5) for md5 in md5s] == [True, True, False, False, True]


def test_s3_errors_are_ours(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotFound, match="list s3://no-such-bucket"):
        scan_listing(open_listing("s3://no-such-bucket/x"))
    with pytest.raises(InputError, match="names no bucket"):
        scan_listing(open_listing("s3://"))
    monkeypatch.setattr("cxr.storage.opening.LISTING_RETRY_S", 0.0)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(Unreachable):
        scan_listing(open_listing("s3://bucket/x"))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    with pytest.raises(NotAllowed, match="no AWS credentials"):
        scan_listing(open_listing("s3://bucket/x"))


@pytest.mark.slow
def test_a_million_objects_become_a_manifest() -> None:
    def objects() -> Iterator[ObjectInfo]:
        for number in range(1_000_000):
            kind = f"person{number // 3}_{'virus' if number % 2 else 'bacteria'}" if number % 3 else f"IM-{number}"
            label = "PNEUMONIA" if number % 3 else "NORMAL"
            crc32c = f"{number:06d}=="
            yield _info(f"{('train', 'test')[number % 4 == 3]}/{label}/{kind}_{number}.jpeg", 9000 + number, crc32c)

    manifest = scan_listing(Listed(objects(), URL))
    assert manifest.header.images == 1_000_000
