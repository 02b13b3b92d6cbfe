"""What a batch prediction job does here: a program scores the images, in the service's place.

Before it starts, the lines of the input files become its instances; when it has ended, its scores become the files of
predictions and of errors. Both can be done again after a crash in between.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from cxr.cloud.emulator.errors import Code, RpcError, invalid_argument, not_found
from cxr.cloud.emulator.jobs.attempts import Launch, Outcome
from cxr.cloud.emulator.storage_api.context import StorageContext
from cxr.cloud.emulator.storage_api.internal import object_at, objects_below, read_object, split_uri, store_file
from cxr.cloud.emulator.vertex_api.automl_job import SCORING_FOLDER, model_folder, program_environment
from cxr.cloud.emulator.vertex_api.call import VertexContext
from cxr.cloud.emulator.vertex_api.evaluations import annotation_specs
from cxr.cloud.emulator.vertex_api.importing import MAX_IMAGE_BYTES
from cxr.cloud.emulator.vertex_api.job_states import set_ended, set_pending, set_running
from cxr.cloud.emulator.vertex_api.messages import JsonObject
from cxr.cloud.emulator.vertex_api.predictions import check_instance, prediction, prediction_parameters
from cxr.cloud.emulator.vertex_api.resource_store import change, find

#: BatchPredictionJob.partial_failures: "This field never exceeds 20 entries".
MAX_PARTIAL_FAILURES = 20
#: Lines in one file of predictions. How many the service writes into one is not documented.
LINES_A_FILE = 500
_LINES, _INSTANCES, _SCORES, _RESULT = "lines.jsonl", "instances.jsonl", "scores.jsonl", "result.json"


class BatchPredictionJob:
    """The JobKind of batch prediction."""

    def __init__(self, context: VertexContext, server_url: str) -> None:
        self._context = context
        self._server_url = server_url

    def prepare(self, name: str, job_folder: Path, attempt_folder: Path) -> Launch:
        """Write the instances that can be scored, and start the scorer on them.

        Raises 404 when an input file or the model is gone, 400 when there is nothing to score.
        """
        job = find(self._context.read, name)
        model = model_folder(self._context, job["model"]) / SCORING_FOLDER
        if not model.is_dir():
            raise not_found(f"The model {job['model']} was deleted.")
        lines = [_line(self._context.storage, text) for text in _texts(self._context.storage, job) if text.strip()]
        if not lines:
            raise invalid_argument("The input files have no instance.", field="input_config.gcs_source")
        _write(attempt_folder / _LINES, lines)
        good = [{"uri": line["instance"]["content"]} for line in lines if "error" not in line]
        _write(attempt_folder / _INSTANCES, good)
        folder = attempt_folder.resolve()
        files = ["--instances", str(folder / _INSTANCES), "--scores", str(folder / _SCORES)]
        argv = [*self._context.settings.scorer, "--model", str(model.resolve()), *files]
        return Launch(argv, str(folder), program_environment(self._context.settings, self._server_url))

    def started(self, connection: sqlite3.Connection, name: str) -> None:
        """RUNNING; the start time is that of the first attempt."""
        change(connection, name, set_running)

    def waiting(self, connection: sqlite3.Connection, name: str) -> None:
        """PENDING again, unless it is being cancelled."""
        change(connection, name, set_pending)

    def judge(self, name: str, attempt_folder: Path, outcome: Outcome) -> RpcError | None:
        """The exit code, then the scores, which become objects."""
        if outcome.returncode != 0:
            reason = outcome.last_stderr or f"the scoring process ended with {outcome.returncode}"
            return RpcError(Code.INTERNAL, f"Batch prediction failed: {reason}")
        job = find(self._context.read, name)
        good, bad = self._judged(job, attempt_folder)
        bucket, folder = split_uri(output_directory(job, self._context.read))
        for kind, lines in (("predictions", good), ("errors", bad)):
            for number, start in enumerate(range(0, len(lines), LINES_A_FILE), start=1):
                path = attempt_folder / f"{kind}_{number:05d}.jsonl"
                _write(path, lines[start : start + LINES_A_FILE])
                store_file(self._context.storage, bucket, f"{folder}/{path.name}", path)
        if not good:
            return invalid_argument(f"No instance could be predicted: {bad[0]['error']['message']}")
        failures = [line["error"] for line in bad[:MAX_PARTIAL_FAILURES]]
        result = {
            "outputInfo": {"gcsOutputDirectory": f"gs://{bucket}/{folder}"},
            # Zeros are left out, as in all JSON from protocol buffers.
            "completionStats": {"successfulCount": str(len(good)), **({"failedCount": str(len(bad))} if bad else {})},
            **({"partialFailures": failures} if failures else {}),
        }
        (attempt_folder / _RESULT).write_text(json.dumps(result), encoding="utf-8")
        return None

    def succeeded(self, connection: sqlite3.Connection, name: str, attempt_folder: Path) -> None:
        """SUCCEEDED, with where the predictions are and how many."""
        result = json.loads((attempt_folder / _RESULT).read_text(encoding="utf-8"))

        def edit(job: JsonObject) -> None:
            job.update(result)
            set_ended(job, "SUCCEEDED", None)

        change(connection, name, edit)

    def failed(self, connection: sqlite3.Connection, name: str, error: RpcError) -> None:
        """FAILED with the error."""
        change(connection, name, lambda job: set_ended(job, "FAILED", error))

    def cancelled(self, connection: sqlite3.Connection, name: str) -> None:
        """CANCELLED."""
        error = RpcError(Code.CANCELLED, "CANCELED")
        change(connection, name, lambda job: set_ended(job, "CANCELLED", error))

    def _judged(self, job: Mapping[str, Any], folder: Path) -> tuple[list[JsonObject], list[JsonObject]]:
        """Lines with predictions, and lines with errors, each in the order of the input."""
        specs = annotation_specs(model_folder(self._context, job["model"]))
        parameters = prediction_parameters(job.get("modelParameters"), field="model_parameters")
        good: list[JsonObject] = []
        bad: list[JsonObject] = []
        scores = iter(_read(folder / _SCORES))
        for line in _read(folder / _LINES):
            found = line if "error" in line else next(scores)
            if "scores" in found:
                good.append(
                    {"instance": line["instance"], "prediction": prediction(specs, found["scores"], parameters)}
                )
            else:
                error = found["error"] if "error" in line else _status(Code.INVALID_ARGUMENT, found["error"])
                bad.append({"instance": line["instance"], "error": error})
        return good, bad


def output_directory(job: Mapping[str, Any], connection: sqlite3.Connection) -> str:
    """`gs://OUT/prediction-MODEL-TIME`, the same every time it is asked for."""
    prefix = job["outputConfig"]["gcsDestination"]["outputUriPrefix"].rstrip("/")
    model = find(connection, job["model"])["displayName"].replace("/", "_")
    return f"{prefix}/prediction-{model}-{job['createTime'][:23]}Z"


def _texts(storage: StorageContext, job: Mapping[str, Any]) -> Iterator[str]:
    for uri in job["inputConfig"]["gcsSource"]["uris"]:
        bucket, name = split_uri(uri)
        found = [row for row in [object_at(storage, uri)] if row is not None]
        if not found and "*" in name:
            before = name.split("*", 1)[0]
            found = [row for row in objects_below(storage, bucket, before) if fnmatchcase(row["name"], name)]
        if not found:
            raise not_found(f"The input file {uri} does not exist.")
        for row in found:
            try:
                yield from read_object(storage, row).decode("utf-8").split("\n")
            except UnicodeDecodeError:
                raise invalid_argument(f"gs://{bucket}/{row['name']} is not UTF-8.") from None


def _line(storage: StorageContext, text: str) -> JsonObject:
    """An instance, with an error when it cannot be scored."""
    try:
        instance = json.loads(text)
    except ValueError:
        return {"instance": text, "error": _status(Code.INVALID_ARGUMENT, "The instance is not JSON.")}
    try:
        uri, _ = check_instance(instance)
        found = object_at(storage, uri)
    except ValueError as error:
        return {"instance": instance, "error": _status(Code.INVALID_ARGUMENT, f"Invalid instance: {error}.")}
    if found is None:
        return {"instance": instance, "error": _status(Code.NOT_FOUND, f"The image {uri} does not exist.")}
    if found["size"] > MAX_IMAGE_BYTES:
        words = f"The image {uri} has {found['size']:,} bytes; at most {MAX_IMAGE_BYTES:,} are allowed."
        return {"instance": instance, "error": _status(Code.INVALID_ARGUMENT, words)}
    return {"instance": instance}


def _status(code: Code, message: str) -> JsonObject:
    return {"code": code.number, "message": message}


def _write(path: Path, lines: Sequence[JsonObject]) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def _read(path: Path) -> list[JsonObject]:
    # splitlines() would also cut at U+2028 and the like, which JSON may have in its texts.
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
