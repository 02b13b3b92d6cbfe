"""The service's own evaluation: fetched, shown, written."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cxr.cli.out import Out
from cxr.errors import JobFailed, UsageError

if TYPE_CHECKING:
    from cxr.cloud.connection import Connection
    from cxr.cloud.jobs.journal import Job
    from cxr.cloud.predicting.service_evaluation import Confusion, CurvePoint


def check_has_model(job: Job) -> None:
    """Raises UsageError for a job that has not ended, JobFailed for one without a model."""
    if not job.finished:
        raise UsageError(f"{job.id} has not ended yet: it is {job.state}", hint=f"cxr cloud wait {job.id}")
    if not job.succeeded:
        raise JobFailed(f"{job.id} has no model: it is {job.state}", hint=f"cxr cloud status {job.id}")


def fetch_evaluation(out: Out, connection: Connection, job: Job, folder: Path) -> None:
    """`cxr cloud evaluate JOB`: tables on stdout, files in `folder`."""
    from cxr.cloud.exporting.automl import is_stand_in
    from cxr.cloud.predicting.service_evaluation import (
        NOTE,
        STAND_IN_NOTE,
        check_figures_place,
        confusion,
        curve,
        label_slices,
        shown_point,
        write_evaluation,
    )
    from cxr.cloud.provider import Feature, check_offered
    from cxr.cloud.vertex.evaluations import get_evaluation
    from cxr.cloud.vertex.models import get_model
    from cxr.cloud.vertex.pipelines import model_of

    check_offered(connection.provider, Feature.EVALUATIONS)
    check_has_model(job)
    check_figures_place(folder, job.id)
    model = get_model(connection, model_of(connection, job))
    evaluation = get_evaluation(connection, model.resource)
    stand_in = is_stand_in(model)
    about = {
        "job": job.id,
        "model": model.resource,
        "manifest_hash": job.manifest_hash,
        "stand_in": stand_in,
        "note": NOTE,
    }
    written = write_evaluation(evaluation, folder, about=about)
    point = shown_point(curve(evaluation.metrics))
    matrix, slices = confusion(evaluation.metrics), label_slices(evaluation)
    _show_summary(out, job, evaluation.metrics, point)
    _show_confusion(out, matrix)
    if slices:
        rows = [[_shown(one[column]) for column in slices[0]] for one in slices]
        out.table(tuple(slices[0]), rows, title="\neach label")
    out.say(f"note: {NOTE}")
    if stand_in:
        out.warn(STAND_IN_NOTE)
    out.say(f"written: {', '.join(str(path) for path in written)}")
    out.result(
        "cloud.evaluate",
        {
            **about,
            "files": [str(path) for path in written],
            "au_prc": evaluation.metrics.get("auPrc"),
            "log_loss": evaluation.metrics.get("logLoss"),
            "at_threshold": None if point is None else {name: getattr(point, name) for name in point.__slots__},
            "confusion": {"labels": list(matrix.labels), "rows": [list(row) for row in matrix.rows]},
            "slices": slices,
        },
    )


def _show_summary(out: Out, job: Job, metrics: Mapping[str, Any], point: CurvePoint | None) -> None:
    rows = [("au-PRC", _shown(metrics.get("auPrc"))), ("log loss", _shown(metrics.get("logLoss")))]
    if point is not None:
        at = f" at {point.threshold:g}"
        rows += [
            (f"precision{at}", _shown(point.precision)),
            (f"recall{at}", _shown(point.recall)),
            (f"F1{at}", _shown(point.f1)),
        ]
    out.table(("the service's figures", job.id), rows)


def _show_confusion(out: Out, matrix: Confusion) -> None:
    if not matrix.rows:
        return
    rows = [(label, *counts) for label, counts in zip(matrix.labels, matrix.rows, strict=True)]
    out.table(("truth", *(f"called {label}" for label in matrix.labels)), rows, title="\nconfusion")


def _shown(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float | int) else "-" if value is None else str(value)
