"""What is fuzzed: for each reader, the folder of its first inputs and how an input gets to it.

A reader may raise `refusals` and nothing else. `feed(data, place)` gets bytes and a folder of its own that stays the
same from one input to the next.
"""

from __future__ import annotations

import io
import shutil
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from cxr.errors import CxrError

CORPUS = Path(__file__).with_name("corpus")
CLASSES = ("NORMAL", "PNEUMONIA")
Feed = Callable[[bytes, Path], object]


@dataclass(frozen=True)
class Target:
    """A reader. `setup` puts beside the input what it needs."""

    name: str
    feed: Feed
    refusals: tuple[type[BaseException], ...] = (CxrError,)
    corpus: str = ""

    @property
    def seeds(self) -> tuple[bytes, ...]:
        """The first inputs, in the order of their names."""
        return tuple(path.read_bytes() for path in sorted((CORPUS / (self.corpus or self.name)).iterdir()))


def _put(place: Path, name: str, data: bytes) -> Path:
    path = place / name
    path.write_bytes(data)
    return path


def _seed(name: str, file: str) -> bytes:
    return (CORPUS / name / file).read_bytes()


def _manifest(rows: bytes, header: bytes, place: Path) -> None:
    from cxr.manifests.manifest_file import read_manifest, reseal

    path = _put(place, "manifest.csv", rows)
    _put(place, "manifest.json", header)
    try:
        manifest = read_manifest(path)
    except CxrError:
        manifest = reseal(path)
    assert manifest.is_remote or manifest.root
    assert manifest.hash
    for name in manifest.frame["path"]:
        assert not name.startswith("/")
        assert ".." not in name.split("/")


def _manifest_rows(data: bytes, place: Path) -> None:
    _manifest(data, _seed("manifest-header", "plain.json"), place)


def _manifest_header(data: bytes, place: Path) -> None:
    _manifest(_seed("manifest-rows", "plain.csv"), data, place)


def _journal(data: bytes, place: Path) -> None:
    from cxr.cloud.jobs.journal import Journal

    journal = Journal(_put(place, "jobs.jsonl", data))
    jobs = journal.jobs()
    for problem in journal.problems:
        assert isinstance(problem, str)
    for job in jobs:
        assert journal.get(job.id) == job
        assert journal.update(job, state="RUNNING").id == job.id


def _launch_plan(data: bytes, place: Path) -> None:
    from cxr.cloud.plans.files import SAVED, read_plan
    from cxr.cloud.plans.launch import JobKind
    from cxr.errors import UsageError

    path = _put(place, "plan.json", data)
    saved = read_plan(path, JobKind.CUSTOM)
    assert 0 <= saved.worst_usd < float("inf")
    try:
        SAVED.check_replaceable(path)
    except UsageError:
        raise AssertionError("a plan that can be read may be replaced") from None


def _transfer_plan(data: bytes, place: Path) -> None:
    from cxr.storage.transfer.plan_file import read_plan

    for action in read_plan(_put(place, "plan.jsonl", data)).actions():
        assert action.digest.size >= 0


def _clean_plan(data: bytes, place: Path) -> None:
    from cxr.cloud.cleaning.plan_file import read_clean_plan

    read_clean_plan(_put(place, "clean.jsonl", data))


def _bundle(data: bytes, place: Path) -> None:
    from cxr.bundle import read_bundle

    _put(place, "model.keras", b"model")
    _put(place, "bundle.json", data)
    bundle = read_bundle(place)
    assert bundle.hash
    assert bundle.model_size_bytes >= 0
    assert bundle.model_path.resolve().is_relative_to(place.resolve())


def _settings(data: bytes, place: Path) -> None:
    from cxr.settings import load_settings

    load_settings(config=_put(place, "cxr.toml", data), environment={})


def _score_table(data: bytes, place: Path) -> None:
    from cxr.compare.predictions.elsewhere import read_score_table

    table = read_score_table(_put(place, "scores.csv", data), CLASSES, CLASSES[1])
    assert all(0 <= score <= 1 for _, scores in table.rows.values() for score in scores)


def _batch_answers(data: bytes, place: Path) -> None:
    from cxr.compare.predictions.batch_answers import read_batch_answers

    table = read_batch_answers(str(_put(place, "predictions_00001.jsonl", data)), CLASSES, CLASSES[1], outputs=CLASSES)
    assert all(0 <= score <= 1 for _, scores in table.rows.values() for score in scores)


def _patient_table(data: bytes, place: Path) -> None:
    from cxr.manifests.patients.table import read_patient_csv

    read_patient_csv(str(_put(place, "patients.csv", data))).read("test/NORMAL/a.jpeg")


def _figures(data: bytes, place: Path) -> None:
    from cxr.compare.figures.document import read_figures

    read_figures(_put(place, "figures.toml", data))


def _prices(data: bytes, place: Path) -> None:
    from cxr.cloud.prices.table import price_table
    from cxr.cloud.vertex.prices import GOOGLE

    price_table(_put(place, "prices.toml", data), GOOGLE)


def _recipe(data: bytes, place: Path) -> None:
    from cxr.local_baseline.recipes.recipe_file import read_recipe

    read_recipe(_put(place, "mine.toml", data))


def _search_space(data: bytes, place: Path) -> None:
    from cxr.local_baseline.recipes.search_space import read_space

    read_space(_put(place, "space.toml", data))


def _service_evaluation(data: bytes, place: Path) -> None:
    from cxr.cloud.predicting.service_evaluation import confusion, curve, shown_point
    from cxr.documents import parse_json

    del place
    try:
        metrics = parse_json(data)
    except ValueError:
        return
    if isinstance(metrics, dict):
        shown_point(curve(metrics))
        confusion(metrics)


def _label_mapping(data: bytes, place: Path) -> None:
    from cxr.manifests.labels import read_label_mapping

    read_label_mapping(_put(place, "labels.json", data))


def _graph_model(data: bytes, place: Path) -> None:
    from cxr.importing.graph_model import MODEL_FILE, is_layers_model, read_graph_model

    _put(place, "w.bin", b"\0" * 16)
    _put(place, MODEL_FILE, data)
    is_layers_model(place)
    read_graph_model(place).input_shape()


def _labels_in_model(data: bytes, place: Path) -> None:
    from cxr.importing.labels import labels_in_tflite

    labels_in_tflite(_put(place, "model.tflite", data))


def _archive(data: bytes, place: Path) -> None:
    from cxr.archives import unpack_tar

    folder = place / "there"
    folder.mkdir()
    try:
        unpack_tar(io.BytesIO(data), folder, name="model.tar", max_bytes=1 << 20)
    finally:
        shutil.rmtree(folder)
        assert list(place.iterdir()) == []


def _keras_file(data: bytes, place: Path) -> None:
    from cxr.local_baseline.models.keras_files import check_keras_file

    # No .h5: damaged ones can keep the HDF5 library busy for ever, where no timer of Python's reaches it.
    check_keras_file(_put(place, "model.keras", data))


def _page(data: bytes, place: Path) -> None:
    from cxr.webapp.page import read_page

    _put(place, "page.json", data)
    read_page(place)


@cache
def _small_manifest() -> Any:
    from tempfile import mkdtemp

    from cxr.manifests.manifest_file import read_manifest

    place = Path(mkdtemp(prefix="cxr-fuzz-"))
    _put(place, "manifest.csv", _seed("manifest-rows", "plain.csv"))
    _put(place, "manifest.json", _seed("manifest-header", "plain.json"))
    manifest = read_manifest(place / "manifest.csv")
    shutil.rmtree(place)
    return manifest


def _predictions_rows(data: bytes, place: Path) -> None:
    _predictions(data, _seed("predictions-header", "predictions.json"), place)


def _predictions_header(data: bytes, place: Path) -> None:
    _predictions(_seed("predictions-rows", "predictions.csv"), data, place)


def _predictions(rows: bytes, header: bytes, place: Path) -> None:
    from cxr.compare.predictions.table import read_predictions

    _put(place, "predictions.csv", rows)
    _put(place, "predictions.json", header)
    read_predictions(place, _small_manifest())


def _image(data: bytes, place: Path) -> None:
    from cxr.manifests.scan.image_file import Reading, read_image_file

    path = _put(place, "a.jpeg", data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in ("a.jpeg", "a"):
            read_image_file(path, name, len(data), Reading(hashed=True))


def _dicom(data: bytes, place: Path) -> None:
    from cxr.manifests.dicom.header import quiet_pydicom, read_dataset, read_header
    from cxr.manifests.dicom.problems import DICOM_ERRORS
    from cxr.manifests.dicom.rendering import PixelError, render

    path = _put(place, "a.dcm", data)
    with quiet_pydicom():
        try:
            read_header(path)
            render(read_dataset(path, pixels=True))
        except (*DICOM_ERRORS, PixelError):
            return


def _tfrecord(data: bytes, place: Path) -> None:
    from cxr.manifests.shards.framing import read_frames
    from cxr.manifests.shards.shard_record import ShardRecord

    del place
    for payload in read_frames(io.BytesIO(data), "a.tfrecord"):
        ShardRecord.from_example(payload)


def _example(data: bytes, place: Path) -> None:
    from cxr.manifests.shards.shard_record import ShardRecord

    del place
    ShardRecord.from_example(data)


def _shard_index(data: bytes, place: Path) -> None:
    from cxr.manifests.shards.index import read_index

    _put(place, "index.json", data)
    for shard in read_index(place).shards:
        assert (place / shard.file).parent == place


def _gs_url(data: bytes, place: Path) -> None:
    from cxr.storage import open_store
    from cxr.storage.transfer.download import is_plain, local_path

    url = data.decode("utf-8", "replace")
    if url.startswith(("gs://", "s3://")) or "://" in url:
        open_store(url, endpoint="http://127.0.0.1:9", project="p")
    if is_plain(url):
        assert local_path(place, url).is_relative_to(place)
        assert ".." not in local_path(place, url).parts


_LOCAL: Mapping[str, Feed] = {
    "manifest-rows": _manifest_rows,
    "manifest-header": _manifest_header,
    "journal": _journal,
    "launch-plan": _launch_plan,
    "transfer-plan": _transfer_plan,
    "clean-plan": _clean_plan,
    "bundle": _bundle,
    "settings": _settings,
    "score-table": _score_table,
    "batch-answers": _batch_answers,
    "patient-table": _patient_table,
    "figures": _figures,
    "prices": _prices,
    "recipe": _recipe,
    "search-space": _search_space,
    "service-evaluation": _service_evaluation,
    "label-mapping": _label_mapping,
    "graph-model": _graph_model,
    "labels-in-model": _labels_in_model,
    "archive": _archive,
    "keras-file": _keras_file,
    "page": _page,
    "predictions-rows": _predictions_rows,
    "predictions-header": _predictions_header,
    "image": _image,
    "dicom": _dicom,
    "tfrecord": _tfrecord,
    "example": _example,
    "shard-index": _shard_index,
    "gs-url": _gs_url,
}
READERS: tuple[Target, ...] = tuple(Target(name, feed) for name, feed in _LOCAL.items())
