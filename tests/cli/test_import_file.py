"""`cxr data import-file` as it is typed, in a process of its own, against a running emulator."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

pytest.importorskip("google.cloud.storage", reason='needs the extra: pip install "cxr[gcp]"')

from cxr.cloud.emulator.process import ensure_running, environment, running_url
from cxr.manifests.manifest import ManifestHeader, new_manifest
from cxr.manifests.manifest_file import read_manifest, write_manifest
from cxr.manifests.patients.keys import patient_of
from cxr.settings import Settings
from cxr.storage import open_store
from cxr.storage.buckets import create_private_bucket
from cxr.storage.checksums import crc32c_of_file

Cxr = Callable[..., subprocess.CompletedProcess[str]]
BUCKET = "cxr-import-files"
URL = f"gs://{BUCKET}/study/images"
NAMES = [
    f"{split}/{label}/{name}"
    for split in ("train", "test")
    for label, name in (
        ("NORMAL", f"IM-{len(split)}-0001.jpeg"),
        ("PNEUMONIA", f"person{len(split)}_bacteria_1.jpeg"),
        ("PNEUMONIA", f"person{len(split)}_virus_2.jpeg"),
    )
]


def _manifest(folder: Path, names: list[str]) -> Path:
    """`manifest.csv` of files that lie below `folder`/images."""
    rows = []
    for name in names:
        path = folder / "images" / name
        split, label, _ = name.split("/")
        patient = patient_of(name)
        known = {"path": name, "label": label, "split": split, "patient": patient.key, "etiology": patient.etiology}
        checksums = {"crc32c": crc32c_of_file(path), "md5": hashlib.md5(path.read_bytes()).hexdigest()}
        rows.append(known | checksums | {"size": path.stat().st_size})
    path = folder / "manifest.csv"
    write_manifest(new_manifest(pd.DataFrame(rows), ManifestHeader(root=str(folder / "images"))), path)
    return path


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, local_cloud: Settings) -> Path:
    """A folder with a manifest all of whose files (of no use but their bytes) are in a bucket of the emulator."""
    folder = tmp_path_factory.mktemp("import-file")
    endpoint = ensure_running(local_cloud.emulator_dir)
    create_private_bucket(BUCKET, region="us-central1", endpoint=endpoint, project=None)
    store = open_store(URL, endpoint=endpoint)
    for number, name in enumerate(NAMES):
        path = folder / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"not a picture" * (number + 1))
        store.put_file(name, path)
    _manifest(folder, NAMES)
    return folder


@pytest.fixture
def cxr(run_cxr: Cxr, study: Path, local_cloud: Settings, tmp_path: Path) -> Cxr:
    """Run `cxr data import-file` in an empty folder on the study's manifest, with the emulator at hand."""

    def run(*arguments: str, manifest: Path | None = None, **options: object) -> subprocess.CompletedProcess[str]:
        files = ("--manifest", str(manifest or study / "manifest.csv"))
        state = ("--state-dir", str(local_cloud.state_dir))
        return run_cxr("data", "import-file", *files, *state, *arguments, cwd=tmp_path, **options)

    return run


def test_an_uploaded_study_gets_its_import_file_and_the_next_step(cxr: Cxr, tmp_path: Path) -> None:
    done = cxr("--images-url", URL, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["schema"], told["rows"], told["path"]) == ("cxr.data.import-file", 6, "import.csv")
    assert told["ml_use"] == {"training": 3, "test": 3}
    assert (told["verified"], told["labels_file"], told["left_out"]) == (True, None, 0)
    assert f"all 6 images are at {URL}" in done.stderr
    assert "next: cxr cloud dataset" in done.stderr
    lines = (tmp_path / "import.csv").read_text().splitlines()
    assert lines[0] == f"test,{URL}/test/NORMAL/IM-4-0001.jpeg,NORMAL"
    assert len(lines) == 6


def test_the_table_is_on_stdout_and_the_words_on_stderr(cxr: Cxr) -> None:
    done = cxr("--images-url", URL)
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["split", "images"],
        ["-----", "------"],
        ["train", "3"],
        ["test", "3"],
    ]


def test_the_server_of_storage_emulator_host_is_asked(cxr: Cxr, local_cloud: Settings, tmp_path: Path) -> None:
    url = running_url(local_cloud.emulator_dir)
    assert url is not None
    elsewhere = ("--images-url", URL, "--state-dir", str(tmp_path / "no-emulator"))
    done = cxr(*elsewhere, env=environment(url))
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "no-emulator").exists()


def test_objects_that_are_missing_or_changed_fail_before_a_file_is_written(
    cxr: Cxr, study: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "other"
    for name in (*NAMES, "train/NORMAL/IM-9-0001.jpeg"):
        path = folder / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        source = study / "images" / name
        path.write_bytes(source.read_bytes() if source.exists() else b"new")
    (folder / "images" / NAMES[0]).write_bytes(b"NOT A PICTURE")
    done = cxr("--images-url", URL, manifest=_manifest(folder, [*NAMES, "train/NORMAL/IM-9-0001.jpeg"]))
    assert done.returncode == 5
    assert f"1 of 7 images are not at {URL} (train/NORMAL/IM-9-0001.jpeg)" in done.stderr
    assert f"1 of 7 images have other bytes at {URL} than when they were scanned ({NAMES[0]})" in done.stderr
    assert "next: send them first: cxr cloud upload" in done.stderr
    assert not (tmp_path / "import.csv").exists()


def test_a_bucket_that_is_not_there_has_none_of_the_images(cxr: Cxr) -> None:
    done = cxr("--images-url", "gs://cxr-no-such-bucket/images")
    assert done.returncode == 5
    assert "6 of 6 images are not at gs://cxr-no-such-bucket/images" in done.stderr


def test_without_a_look_at_the_bucket_that_is_said(cxr: Cxr, tmp_path: Path) -> None:
    done = cxr("--images-url", "gs://cxr-no-such-bucket/images", "--no-verify")
    assert done.returncode == 0, done.stderr
    assert "it was not checked whether the images are at gs://cxr-no-such-bucket/images" in done.stderr
    assert "next: cxr cloud upload" in done.stderr
    assert (tmp_path / "import.csv").exists()


def test_a_task_changes_the_labels_and_not_the_hash(cxr: Cxr, study: Path, tmp_path: Path) -> None:
    done = cxr("--images-url", URL, "--task", "three-class", "--format", "jsonl", "--json")
    told = json.loads(done.stdout)
    assert told["manifest"] == read_manifest(study / "manifest.csv").hash
    labels = [
        json.loads(line)["classificationAnnotation"]["displayName"]
        for line in (tmp_path / "import.jsonl").read_text().splitlines()
    ]
    assert labels == ["NORMAL", "BACTERIAL", "VIRAL"] * 2


def test_sagemaker_gets_a_file_a_split_and_the_classes_numbers(cxr: Cxr, tmp_path: Path) -> None:
    for format, suffix in (("sagemaker-lst", "lst"), ("sagemaker-manifest", "manifest")):
        done = cxr("--images-url", "s3://bucket/images", "--format", format, "--no-verify", "--json")
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert [Path(file["path"]).name for file in told["files"]] == [
            f"import-train.{suffix}",
            f"import-test.{suffix}",
        ]
        assert told["labels"] == {"NORMAL": "0", "PNEUMONIA": "1"}
        assert told["labels_file"] == f"import.{suffix}.labels.json"
        spellings = json.loads((tmp_path / told["labels_file"]).read_text())["spellings"]
        assert spellings == {"NORMAL": "0", "PNEUMONIA": "1"}


@pytest.fixture(scope="module")
def s3_environment(study: Path) -> Iterator[dict[str, str]]:
    """The environment that points boto3 at a server on loopback whose bucket `study` has the images but the last, and
    other bytes for the first."""
    boto3 = pytest.importorskip("boto3", reason='needs the extra: pip install "cxr[aws]"')
    moto = pytest.importorskip("moto.server", reason="needs the dev group: moto")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    environment = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "nobody",
        "AWS_SECRET_ACCESS_KEY": "nothing",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    client = boto3.client(
        "s3",
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        aws_access_key_id="nobody",
        aws_secret_access_key="nothing",
        region_name="us-east-1",
    )
    client.create_bucket(Bucket="study")
    for name in NAMES[:-1]:
        data = (study / "images" / name).read_bytes()
        client.put_object(Bucket="study", Key=f"images/{name}", Body=data if name != NAMES[0] else data.upper())
    yield environment
    server.stop()


def test_s3_is_listed_for_sagemaker(cxr: Cxr, study: Path, tmp_path: Path, s3_environment: dict[str, str]) -> None:
    flags = ("--images-url", "s3://study/images", "--format", "sagemaker-lst")
    refused = cxr(*flags, env=s3_environment)
    assert refused.returncode == 5
    assert f"1 of 6 images are not at s3://study/images ({NAMES[-1]})" in refused.stderr
    assert f"1 of 6 images have other bytes at s3://study/images than when they were scanned ({NAMES[0]})" in (
        refused.stderr
    )
    assert "aws s3 sync DIR s3://study/images" in refused.stderr
    (tmp_path / "images").symlink_to(study / "images")
    done = cxr(*flags, manifest=_manifest(tmp_path, NAMES[1:-1]), env=s3_environment)
    assert done.returncode == 0, done.stderr
    assert "all 4 images are at s3://study/images" in done.stderr


def test_large_files_are_divided_and_older_ones_told(cxr: Cxr, tmp_path: Path) -> None:
    first = cxr("--images-url", URL, "--max-bytes", "200", "--json")
    files = [file["path"] for file in json.loads(first.stdout)["files"]]
    assert files == [f"import-{part:05}-of-{len(files):05}.csv" for part in range(1, len(files) + 1)]
    assert all((tmp_path / file).stat().st_size <= 200 for file in files)
    whole = cxr("--images-url", URL, "--quiet")
    assert whole.stderr.splitlines() == [
        f"warning: {file} is of an earlier import: do not import both" for file in files
    ]


def test_labels_are_spelled_legally_or_refused_as_they_are(cxr: Cxr, tmp_path: Path) -> None:
    path = tmp_path / "data" / "images" / "train" / "2nd look" / "a.jpeg"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x")
    manifest = _manifest(tmp_path / "data", ["train/2nd look/a.jpeg"])
    refused = cxr("--images-url", URL, "--labels", "as-is", manifest=manifest)
    assert refused.returncode == 2
    assert "'2nd look'" in refused.stderr
    assert "label_2nd_look" in refused.stderr
    done = cxr("--images-url", URL, "--no-verify", "--out", "sub/x.csv", manifest=manifest)
    assert done.returncode == 0, done.stderr
    assert "'2nd look' as 'label_2nd_look'" in done.stderr
    assert (tmp_path / "sub" / "x.csv").read_text().endswith(",label_2nd_look\n")
    assert json.loads((tmp_path / "sub" / "x.csv.labels.json").read_text())["spellings"] == {
        "2nd look": "label_2nd_look"
    }


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--images-url", URL, "--format", "xml"), ["'xml'", "csv, jsonl, automl-vision-csv"]),
        (("--images-url", URL, "--labels", "any"), ["'any'", "legal, as-is"]),
        (("--images-url", URL, "--task", "ternary"), ["'ternary'", "binary, three-class"]),
        (("--images-url", URL, "--out", "import.jsonl"), ["knows csv files by .csv"]),
        (("--images-url", "s3://b/images"), ["s3://b/images", "Vertex AI", "gs://BUCKET"]),
        (("--images-url", "s3://b", "--on", "gcp", "--format", "sagemaker-lst"), ["--on gcp is for gs://"]),
    ],
    ids=["format", "labels", "task", "suffix", "scheme", "on-s3"],
)
def test_a_wrong_flag_is_a_usage_error_that_names_what_fits(
    cxr: Cxr, tmp_path: Path, arguments: tuple[str, ...], words: list[str]
) -> None:
    done = cxr(*arguments)
    assert done.returncode == 2, done.stderr
    assert all(word in done.stderr for word in words), done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
