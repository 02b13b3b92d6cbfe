"""What an AutoML job of image classification does here: a small model is trained by the stand-in program, in
Autopilot's place. Its candidate's name, image and environment say so; no training job is behind its step.

Not imitated: several candidates, limits of time (CompletionCriteria), reports, deployment.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from cxr.cloud.aws.local.jobs.artefacts import upload_tar
from cxr.cloud.aws.local.jobs.images import TRAINING, VALIDATION, LabelledImage, fetch_images, labelled_images
from cxr.cloud.aws.local.jobs.programs import run_program
from cxr.cloud.aws.local.jobs.stand_in import DESCRIPTION, LABELS_FILE, NAME, container, score
from cxr.cloud.aws.local.jobs.training_job import Circumstances
from cxr.cloud.aws.local.jobs.work import JobFailedError, JobKey, Work
from cxr.cloud.aws.local.moto_state import now
from cxr.cloud.aws.local.settings import ACCOUNT

KIND = "automl-job"
#: What the stand-in is told to make: a model that its scorer predicts with. Its budget is that of its recipe.
MODEL_TYPE, BUDGET_MILLI_NODE_HOURS = "CLOUD", 8000
SCORING_FOLDER = "scoring"


class AutoMLJob(Work):
    """An AutoML job that moto knows already."""

    def __init__(self, around: Circumstances, region: str, body: Mapping[str, Any]) -> None:
        super().__init__(JobKey(KIND, region, body["AutoMLJobName"]))
        self._around = around
        self._body = body
        self._job = around.moto.sagemaker(region).auto_ml_jobs[self.key.name]
        self._s3 = around.moto.client("s3", region)
        self._folder: Path = around.settings.automl_dir / self.key.name

    def begin(self) -> None:
        """In progress: nothing of what moto has made up is left."""
        job = self._job
        job.end_time = job.failure_reason = job.partial_failure_reasons = job.best_candidate = None
        job.auto_ml_job_artifacts = job.model_deploy_config = job.model_deploy_result = None
        self._enter("InProgress", "Starting")

    def run(self) -> None:
        """Fetch the images, train on them, store the model and say how good it is."""
        rule = self._around.outcomes.rule("fail", self.key.name)
        if rule is not None:
            raise JobFailedError(rule.reason)
        began = now()
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        self._enter("InProgress", "AnalyzingData")
        split = self._body.get("DataSplitConfig") or {}
        images = labelled_images(self._s3, self._body["AutoMLJobInputDataConfig"], split)
        paths = fetch_images(self._s3, images, self._folder / "images")
        self.check_stop()
        self._enter("InProgress", "TrainingModels")
        model = self._train(images, paths)
        accuracy = self._accuracy(model, images, paths)
        output = self._body["OutputDataConfig"]["S3OutputPath"].rstrip("/")
        uri = f"{output}/{self.key.name}/{NAME}/output/model.tar.gz"
        upload_tar(self._s3, [model], uri)
        with self._around.moto.lock:
            self._job.best_candidate = self._candidate(began, uri, accuracy)
            self._end("Completed", "Completed")

    def failed(self, reason: str) -> None:
        """Failed."""
        with self._around.moto.lock:
            self._job.failure_reason = reason[:1024]
            self._end("Failed", "Failed")

    def stopped(self) -> None:
        """Stopped without a candidate."""
        if not self.abandoned.is_set():
            self._end("Stopped", "Stopped")

    def _train(self, images: Sequence[LabelledImage], paths: Sequence[Path]) -> Path:
        """The folder of the trained model."""
        items, output, settings = self._folder / "items.jsonl", self._folder / "output", self._around.settings
        with items.open("w", encoding="utf-8") as stream:
            for image, path in zip(images, paths, strict=True):
                stream.write(json.dumps({"uri": str(path), "label": image.label, "ml_use": image.ml_use}) + "\n")
        argv = [*settings.stand_in, "--items", str(items), "--output", str(output), "--model-type", MODEL_TYPE]
        argv += ["--budget-milli-node-hours", str(BUDGET_MILLI_NODE_HOURS)]
        if settings.stand_in_epochs is not None:
            argv += ["--epochs", str(settings.stand_in_epochs)]
        output.mkdir()
        ended = run_program(self, argv, self._folder)
        model = output / SCORING_FOLDER
        if ended.returncode != 0 or not model.is_dir():
            raise JobFailedError(f"AlgorithmError: {ended.last_words}, exit code: {ended.returncode}")
        (model / LABELS_FILE).write_text(json.dumps(_labels(images)), encoding="utf-8")
        (model / "README.txt").write_text(DESCRIPTION + "\n", encoding="utf-8")
        return model

    def _accuracy(self, model: Path, images: Sequence[LabelledImage], paths: Sequence[Path]) -> float:
        """The part of the validation images whose class has the highest score; one that cannot be read is wrong."""
        labels = _labels(images)
        judged = [(image, path) for image, path in zip(images, paths, strict=True) if image.ml_use == VALIDATION]
        answers = score(self, self._around.settings.scorer, model, [path for _, path in judged], self._folder)
        right = 0
        for (image, _), answer in zip(judged, answers, strict=True):
            scores: list[float] = answer.get("scores") or []
            right += bool(scores) and labels[scores.index(max(scores))] == image.label
        return right / len(judged)

    def _candidate(self, began: datetime, uri: str, accuracy: float) -> dict[str, Any]:
        moment = now()
        metric = {"MetricName": "Accuracy", "StandardMetricName": "Accuracy", "Value": accuracy}
        step = f"{NAME}-{self.key.name}"
        return {
            "CandidateName": step,
            "FinalAutoMLJobObjectiveMetric": {"Type": "Maximize", **metric},
            "ObjectiveStatus": "Succeeded",
            "CandidateSteps": [
                {
                    "CandidateStepType": "AWS::SageMaker::TrainingJob",
                    "CandidateStepArn": f"arn:aws:sagemaker:{self.key.region}:{ACCOUNT}:training-job/{step}",
                    "CandidateStepName": step,
                }
            ],
            "CandidateStatus": "Completed",
            "InferenceContainers": [container(self.key.region, uri)],
            "CreationTime": began,
            "EndTime": moment,
            "LastModifiedTime": moment,
            "CandidateProperties": {"CandidateMetrics": [{**metric, "Set": "Validation"}]},
        }

    def _enter(self, status: str, secondary: str) -> None:
        with self._around.moto.lock:
            if self._job.auto_ml_job_status != "Stopping" or status != "InProgress":
                self._job.auto_ml_job_status = status
                self._job.auto_ml_job_secondary_status = secondary
            self._job.last_modified_time = now()

    def _end(self, status: str, secondary: str) -> None:
        with self._around.moto.lock:
            self._job.end_time = now()
            self._enter(status, secondary)


def _labels(images: Sequence[LabelledImage]) -> list[str]:
    """The classes in the order of the model's scores: that of the stand-in."""
    return sorted({image.label for image in images if image.ml_use == TRAINING})
