"""The files of a Vertex AI batch prediction that somebody ran by hand, as a table of scores.

A job writes `predictions_00001.jsonl` (image models of the service) or `prediction.results-00000-of-00003` (custom
models) and files of errors beside them, a line of JSON for an image: `{"instance": …, "prediction": …}` (Vertex AI,
"Get batch predictions"). The service's image models answer `displayNames` and `confidences`; a custom model answers
what its container gives: numbers in the order of its outputs, or `labels` and `scores`.
"""

from __future__ import annotations

import fnmatch
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cxr.compare.predictions.elsewhere import ScoreTable, score_of
from cxr.documents import parse_json
from cxr.errors import InputError, UsageError

RESULT_FILES = ("predictions_*.jsonl", "prediction.results-*", "*.jsonl")
ERROR_FILES = ("errors_*.jsonl", "prediction.errors_stats-*")
#: Where an instance names its image, the first that is there.
NAME_FIELDS = ("content", "gcsUri", "gcs_uri", "uri", "path", "image", "file", "filename", "key", "id")
#: What a prediction calls its labels and their probabilities.
LABELLED = (("displayNames", "confidences"), ("labels", "scores"))
#: What an evaluation of the service has and no file of predictions.
EVALUATION_FIELDS = frozenset({"evaluation", "metrics", "metricsSchemaUri", "confidenceMetrics", "auPrc"})
#: What `cxr cloud evaluate` calls one.
EVALUATION_FILE = "evaluation.json"
MOST_WORDS = 200


@dataclass(frozen=True, slots=True)
class AnswerFile:
    """One file: its name, and how to read it."""

    name: str
    read: Callable[[], bytes]


def is_batch_answers(place: str) -> bool:
    """Whether this is no CSV but a folder, a bucket's folder, or a file of lines of JSON."""
    path = Path(place)
    if "://" in place or path.is_dir() or path.suffix in {".json", ".jsonl"}:
        return True
    return _is_called(path.name, (*RESULT_FILES, *ERROR_FILES))


def read_batch_answers(
    place: str, classes: Sequence[str], positive_class: str, *, outputs: Sequence[str] = ()
) -> ScoreTable:
    """Read a file, or all files of a batch prediction in a folder or below a gs:// URL.

    `outputs` names what a custom model's list of numbers stands for, in order; a single number is the positive class's
    probability without it. Raises UsageError for `outputs` that are not the classes, InputError by file and line for
    what is no prediction, for an image with two different answers, and for an evaluation: it has no scores of images.
    """
    if outputs and set(outputs) != set(classes):
        raise UsageError(
            f"--outputs names {', '.join(outputs)}; the manifest's labels are {', '.join(classes)}",
            hint=f"--outputs {','.join(classes)}, in the order of the model's outputs",
        )
    files = _files(place)
    reader = _Reader(tuple(classes), positive_class, tuple(outputs))
    digest = hashlib.sha256()
    for file in files:
        data = file.read()
        digest.update(f"{hashlib.sha256(data).hexdigest()}  {file.name}\n".encode())
        reader.read(file.name, data)
    if not reader.rows:
        reason = next(iter(reader.failures.values()), "")
        raise InputError(f"{place} has no predictions" + (f": {reason}" if reason else ""))
    return ScoreTable(place, reader.columns or (), reader.rows, reader.failures, digest.hexdigest())


def _files(place: str) -> list[AnswerFile]:
    """The files in the order of their names. Of a folder those that are called like a batch prediction's."""
    if "://" in place:
        # The bucket's client takes a third of a second to import; a folder does not need it.
        from cxr.storage import open_store

        store = open_store(place)
        every = [AnswerFile(info.name, _later(store.get_bytes, info.name)) for info in store.list()]
    elif (path := Path(place)).is_dir():
        below = (each for each in path.rglob("*") if each.is_file())
        every = [AnswerFile(each.relative_to(path).as_posix(), _later(_read_file, each)) for each in below]
    else:
        return [AnswerFile(path.name, _later(_read_file, path))]
    found = [file for file in every if _is_called(file.name, (*RESULT_FILES, *ERROR_FILES))]
    found = found or [file for file in every if _is_called(file.name, (EVALUATION_FILE,))]
    if not found:
        raise InputError(
            f"{place} holds no file of predictions ({', '.join(RESULT_FILES[:2])})",
            hint="name the folder that the batch prediction wrote, or a CSV with path,score",
        )
    return sorted(found, key=lambda file: file.name)


def _is_called(name: str, patterns: Sequence[str]) -> bool:
    last = name.rpartition("/")[2]
    return any(fnmatch.fnmatch(last, pattern) for pattern in patterns)


def _later(read: Callable[[Any], bytes], name: Any) -> Callable[[], bytes]:
    return lambda: read(name)


def _read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error}") from error


class _Reader:
    """Gathers the lines of all files."""

    def __init__(self, classes: tuple[str, ...], positive_class: str, outputs: tuple[str, ...]) -> None:
        self._classes = classes
        self._positive = classes.index(positive_class)
        self._outputs = outputs
        #: The classes that the scores of each image are of; None before the first.
        self.columns: tuple[int, ...] | None = None
        self.rows: dict[str, tuple[str, tuple[float, ...]]] = {}
        self.failures: dict[str, str] = {}

    def read(self, name: str, data: bytes) -> None:
        """One file."""
        is_errors = _is_called(name, ERROR_FILES)
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise InputError(f"{name} is not UTF-8") from error
        _refuse_evaluation(name, text)
        # splitlines() would also cut at U+2028 and the like, which JSON may have in its texts.
        for number, line in enumerate(text.split("\n"), 1):
            if not line.strip():
                continue
            where = f"{name}, line {number}"
            document = _json(line)
            if isinstance(document, dict) and {"instance", "prediction"} & set(document):
                self._take(document, where)
            elif is_errors:  # custom models' errors are plain words of no image
                self.failures.setdefault(where, line.strip()[:MOST_WORDS])
            else:
                raise InputError(
                    f"{where}: this is no line of predictions (instance, prediction)",
                    hint="name the folder that the batch prediction wrote",
                )

    def _take(self, document: Mapping[str, Any], where: str) -> None:
        image = _image(document.get("instance"))
        prediction = document.get("prediction")
        if prediction is None or (isinstance(prediction, dict) and "error" in prediction):
            self.failures[image or where] = _reason(document)
            return
        if not image:
            raise InputError(
                f"{where}: the instance names no image ({', '.join(NAME_FIELDS)})",
                hint="let the instances have a key with the image's path, or write a CSV with path,score",
            )
        columns, scores = self._scores(prediction, where)
        if self.columns not in (None, columns):
            raise InputError(f"{where}: {len(scores)} scores, other lines have {len(self.columns or ())}")
        self.columns = columns
        if self.rows.setdefault(image, (where, scores))[1] != scores:
            raise InputError(f"{where}: {image} has other scores than in {self.rows[image][0]}")

    def _scores(self, prediction: Any, where: str) -> tuple[tuple[int, ...], tuple[float, ...]]:
        """Class numbers and their scores."""
        for names, values in LABELLED:
            if isinstance(prediction, dict) and names in prediction and values in prediction:
                return self._labelled(prediction[names], prediction[values], where)
        numbers = _numbers(prediction)
        if numbers is None:
            raise InputError(
                f"{where}: the prediction is neither displayNames and confidences, nor labels and scores, nor numbers",
                hint="write a CSV with path,score",
            )
        scores = tuple(score_of(str(number), where) for number in numbers)
        if len(scores) == 1 and len(self._classes) == 2:
            return (self._positive,), scores
        if len(scores) != len(self._classes):
            raise InputError(f"{where}: {len(scores)} numbers for the {len(self._classes)} classes of the manifest")
        if not self._outputs:
            raise InputError(
                f"{where}: which of the numbers is whose is not said",
                hint=f"name them in the order of the model's outputs: --outputs {','.join(self._classes)}",
            )
        return tuple(self._classes.index(name) for name in self._outputs), scores

    def _labelled(self, names: Any, values: Any, where: str) -> tuple[tuple[int, ...], tuple[float, ...]]:
        names = [str(name) for name in names] if isinstance(names, list) else []
        values = values if isinstance(values, list) else []
        if len(names) != len(values) or len(set(names)) != len(names) or not set(names) <= set(self._classes):
            raise InputError(
                f"{where}: the answer is of {', '.join(names) or 'nothing'} with {len(values)} scores; the manifest's "
                f"labels are {', '.join(self._classes)}",
                hint="name the manifest that the model was trained on (--manifest), or the task (--task)",
            )
        if len(names) < len(self._classes):
            raise InputError(
                f"{where}: only {', '.join(names) or 'nothing'} of {', '.join(self._classes)} has a score",
                hint='ask for all labels: {"confidenceThreshold": 0, "maxPredictions": '
                f"{len(self._classes)}}} as the job's model parameters",
            )
        scores = dict(zip(names, (score_of(str(value), where) for value in values), strict=True))
        return tuple(range(len(self._classes))), tuple(scores[name] for name in self._classes)


def _refuse_evaluation(name: str, text: str) -> None:
    document = _json(text)
    if isinstance(document, dict) and "instance" not in document and EVALUATION_FIELDS & set(document):
        raise InputError(
            f"{name} is an evaluation by the service: figures of all its images together, no score of any, so it can "
            "stand in no table here",
            hint="let the service score the test images: cxr cloud evaluate JOB --predict batch, or any batch "
            "prediction, whose files this command takes",
        )


def _json(text: str) -> Any:
    try:
        return parse_json(text)
    except ValueError:
        return None


def _image(instance: Any) -> str:
    """What the instance calls its image; empty when it names none."""
    if isinstance(instance, str):
        return instance.strip()
    if not isinstance(instance, dict):
        return ""
    named = (instance.get(name) for name in NAME_FIELDS)
    return next((name.strip() for name in named if isinstance(name, str) and _is_name(name)), "")


def _is_name(text: str) -> bool:
    """Whether it is a name and not an image in base64."""
    return bool(text.strip()) and len(text) <= 4_096


def _numbers(prediction: Any) -> list[float] | None:
    while isinstance(prediction, list) and len(prediction) == 1 and isinstance(prediction[0], list):
        prediction = prediction[0]  # a batch of one
    values = prediction if isinstance(prediction, list) else [prediction]
    if not values or not all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return None
    try:
        return [float(value) for value in values]
    except OverflowError:  # a whole number beyond all probabilities
        return None


def _reason(document: Mapping[str, Any]) -> str:
    prediction = document.get("prediction")
    said = document.get("error") or document.get("status") or (prediction or {}).get("error") or ""
    words = said.get("message") or said.get("status") if isinstance(said, dict) else said
    return " ".join(str(words or "the service gave no reason").split())[:MOST_WORDS]
