"""The files of a batch prediction that was run by hand become a table of scores, or are refused by file and line."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxr.cloud.emulator.process import ensure_running
from cxr.compare.predictions.batch_answers import is_batch_answers, read_batch_answers
from cxr.compare.predictions.elsewhere import probabilities_for
from cxr.errors import InputError, UsageError
from cxr.manifests.manifest import BLANK_ROW, Manifest, ManifestHeader, new_manifest
from cxr.settings import Settings
from cxr.storage import open_store
from cxr.storage.buckets import create_private_bucket

CLASSES = ("NORMAL", "PNEUMONIA")
BUCKET = "gs://bucket/data"


def _manifest() -> Manifest:
    rows = [
        BLANK_ROW
        | {"path": f"test/{label}/{number}.jpeg", "label": label, "patient": f"{label}-{number}", "split": "test"}
        | {"sha256": f"{number + 10 * (label == 'NORMAL'):064x}"}
        for label in CLASSES
        for number in range(3)
    ]
    return new_manifest(pd.DataFrame(rows), ManifestHeader(root="."), Path("m.csv"))


PATHS = _manifest().frame["path"].tolist()


def _service(path: str, score: float, *, turned: bool = False) -> dict:
    """A line as the service's image models answer."""
    names = ["PNEUMONIA", "NORMAL"] if turned else ["NORMAL", "PNEUMONIA"]
    scores = {"PNEUMONIA": score, "NORMAL": 1 - score}
    return {
        "instance": {"content": f"{BUCKET}/{path}", "mimeType": "image/jpeg"},
        "prediction": {"ids": ["1", "2"], "displayNames": names, "confidences": [scores[name] for name in names]},
    }


def _write(folder: Path, files: dict[str, list]) -> Path:
    for name, lines in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        text = "".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def _read(place: Path, **options):
    return read_batch_answers(str(place), CLASSES, "PNEUMONIA", **options)


def _scores(place: Path, **options) -> list[float]:
    return probabilities_for(_read(place, **options), _manifest(), "test")[:, 1].tolist()


WANTED = [0.125, 0.25, 0.375, 0.5, 0.625, 0.75]


def test_the_services_own_files_are_read_whatever_the_order_of_labels_lines_and_files(tmp_path):
    lines = [_service(path, score, turned=score > 0.4) for path, score in zip(PATHS, WANTED, strict=True)]
    job = "prediction-resnet-2026_01_01"
    _write(tmp_path, {f"{job}/predictions_00002.jsonl": lines[:2], f"{job}/predictions_00001.jsonl": lines[:1:-1]})
    assert _scores(tmp_path) == WANTED
    assert _scores(tmp_path / job) == WANTED
    assert _read(tmp_path / job).sha256 == _read(tmp_path / job).sha256 != _read(tmp_path).sha256


def test_the_files_of_a_bucket_are_read_where_they_are(
    local_cloud: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = ensure_running(local_cloud.emulator_dir)
    create_private_bucket("cxr-answers", region="us-central1", endpoint=endpoint, project=None)
    lines = [_service(path, score) for path, score in zip(PATHS, WANTED, strict=True)]
    _write(tmp_path, {"predictions_00001.jsonl": lines})
    store = open_store("gs://cxr-answers/jobs", endpoint=endpoint)
    store.put_file("one/predictions_00001.jsonl", tmp_path / "predictions_00001.jsonl")
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", endpoint)
    table = read_batch_answers("gs://cxr-answers/jobs/one", CLASSES, "PNEUMONIA")
    assert probabilities_for(table, _manifest(), "test")[:, 1].tolist() == WANTED
    assert table.sha256 == _read(tmp_path).sha256
    with pytest.raises(InputError, match="holds no file of predictions"):
        read_batch_answers("gs://cxr-answers/nothing", CLASSES, "PNEUMONIA")


@pytest.mark.parametrize(
    ("instance", "prediction"),
    [
        pytest.param(lambda path: f"{BUCKET}/{path}", lambda score: score, id="a name and a number"),
        pytest.param(lambda path: {"key": path}, lambda score: [score], id="a key and a list of one"),
        pytest.param(
            lambda path: {"image_bytes": {"b64": "AAAA"}, "key": path},
            lambda score: {"labels": ["PNEUMONIA", "NORMAL"], "scores": [score, 1 - score], "key": "x"},
            id="an exported model's container",
        ),
        pytest.param(
            lambda path: {"content": "A" * 9_000, "key": path}, lambda score: [[score]], id="bytes in base64, a batch"
        ),
    ],
)
def test_custom_models_answers_are_read(tmp_path, instance, prediction):
    lines = [
        {"instance": instance(path), "prediction": prediction(score)} for path, score in zip(PATHS, WANTED, strict=True)
    ]
    _write(tmp_path, {"prediction.results-00000-of-00002": lines[:3], "prediction.results-00001-of-00002": lines[3:]})
    _write(tmp_path, {"prediction.errors_stats-00000-of-00001": []})
    assert _scores(tmp_path) == WANTED


def test_numbers_without_names_need_the_order_of_the_outputs(tmp_path):
    lines = [{"instance": path, "prediction": [score, 1 - score]} for path, score in zip(PATHS, WANTED, strict=True)]
    _write(tmp_path, {"prediction.results-00000-of-00001": lines})
    with pytest.raises(InputError, match="which of the numbers is whose is not said") as refused:
        _read(tmp_path)
    assert "--outputs NORMAL,PNEUMONIA" in refused.value.hint
    assert _scores(tmp_path, outputs=["PNEUMONIA", "NORMAL"]) == WANTED
    assert _scores(tmp_path, outputs=["NORMAL", "PNEUMONIA"]) == [1 - score for score in WANTED]
    with pytest.raises(UsageError, match="--outputs names A, B"):
        _read(tmp_path, outputs=["A", "B"])


def test_an_image_that_the_service_could_not_score_is_told_with_its_reason(tmp_path):
    lines = [_service(path, 0.5) for path in PATHS[1:]]
    failed = {"instance": {"content": f"{BUCKET}/{PATHS[0]}"}, "error": {"code": 3, "message": "cannot decode it"}}
    _write(tmp_path, {"predictions_00001.jsonl": lines, "errors_00001.jsonl": [failed]})
    with pytest.raises(InputError, match=r"no score for 1 of 6 test images, first .*0\.jpeg \(cannot decode it\)"):
        _scores(tmp_path)


def test_plain_words_in_a_custom_models_errors_are_no_answers(tmp_path):
    said = '("Post request fails. Cannot get predictions. Error: 503.", 3)'
    _write(tmp_path, {"prediction.errors_stats-00000-of-00001": [said], "prediction.results-00000-of-00001": []})
    with pytest.raises(InputError, match=r"has no predictions: .*Post request fails"):
        _read(tmp_path)


@pytest.mark.parametrize("name", ["evaluation.json", "metrics.json"])
def test_an_evaluation_is_refused_because_it_scores_no_image(tmp_path, name):
    document = {"job": "automl-1", "evaluation": {"metrics": {"auPrc": 0.99}}}
    (tmp_path / name).write_text(json.dumps(document, indent=2))
    for place in (tmp_path / name, tmp_path) if name == "evaluation.json" else (tmp_path / name,):
        with pytest.raises(InputError, match="figures of all its images together") as refused:
            _read(place)
        assert refused.value.exit_code == 2
        assert "cxr cloud evaluate JOB --predict batch" in refused.value.hint


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        pytest.param(["{"], "predictions_1.jsonl, line 1: this is no line of predictions", id="no JSON"),
        pytest.param([{"imageGcsUri": "x"}], "line 1: this is no line of predictions", id="an import file"),
        pytest.param([{"prediction": 0.5}], "line 1: the instance names no image", id="no instance"),
        pytest.param([{"instance": "a", "prediction": "cat"}], "neither displayNames", id="a word"),
        pytest.param([{"instance": "a", "prediction": True}], "neither displayNames", id="a truth value"),
        pytest.param([{"instance": "a", "prediction": 3.5}], "3.5 is no probability", id="no probability"),
        pytest.param(['{"instance": "a", "prediction": NaN}'], "nan is no probability", id="NaN"),
        pytest.param([{"instance": "a", "prediction": [0.1, 0.2, 0.7]}], "3 numbers for the 2 classes", id="three"),
        pytest.param(
            [{"instance": "a", "prediction": {"displayNames": ["CAT", "DOG"], "confidences": [0.1, 0.9]}}],
            "the answer is of CAT, DOG",
            id="other labels",
        ),
        pytest.param(
            [{"instance": "a", "prediction": {"displayNames": ["PNEUMONIA"], "confidences": [0.9]}}],
            "only PNEUMONIA of NORMAL, PNEUMONIA has a score",
            id="a label left out",
        ),
        pytest.param([_service("a", 0.5), _service("a", 0.6)], "line 2: gs://bucket/data/a has other scores", id="two"),
        pytest.param([_service("a", 0.5), {"instance": "b", "prediction": 0.5}], "line 2: 1 scores", id="mixed"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_place(tmp_path, lines, words):
    _write(tmp_path, {"predictions_1.jsonl": lines})
    with pytest.raises(InputError) as refused:
        _read(tmp_path)
    assert words in refused.value.message


def test_a_folder_without_predictions_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("none")
    with pytest.raises(InputError, match="holds no file of predictions"):
        _read(tmp_path)


def test_what_is_no_csv_is_told_by_its_name(tmp_path):
    assert is_batch_answers(str(tmp_path))
    assert is_batch_answers("gs://bucket/answers")
    assert is_batch_answers("prediction.results-00000-of-00005")
    assert is_batch_answers("evaluation.json")
    assert not is_batch_answers("scores.csv")
    assert not is_batch_answers("scores")


@given(st.text(max_size=200) | st.recursive(st.none() | st.floats() | st.text(max_size=9), st.lists).map(json.dumps))
def test_any_line_is_read_or_refused(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("fuzz") / "predictions_1.jsonl"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        table = _read(path)
    except InputError:
        return
    assert table.rows
