"""The steps of `cxr cloud evaluate --predict`: plan, price, ask, predict, bring home."""

from __future__ import annotations

import shlex
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cxr.cli.cloud.common import CloudFlags, show_plan
from cxr.cli.cloud.evaluation_steps import check_has_model
from cxr.cli.cloud.wait import wait_for
from cxr.cli.out import Out
from cxr.errors import Interrupted, JobFailed, NotAllowed, UsageError

if TYPE_CHECKING:
    from cxr.bundle import Bundle
    from cxr.cli.cloud.service_predictions import Answered
    from cxr.cloud.connection import Connection
    from cxr.cloud.journal import Job, Journal
    from cxr.cloud.scores import Picture
    from cxr.cloud.vertex.models import ServiceModel
    from cxr.manifests.manifest import Manifest


@dataclass(frozen=True, slots=True)
class PredictWishes:
    """What the command line asks of predictions."""

    way: str
    manifest: Path
    images: Path | None
    folder: Path
    max_cost: float | None
    keep: bool
    again: bool
    force: bool
    dry_run: bool
    yes: bool

    def command(self, job: Job, flags: CloudFlags) -> str:
        """The command that goes on where this one stopped."""
        parts = [f"cxr cloud evaluate {job.id} --predict {self.way} --manifest {shlex.quote(str(self.manifest))}"]
        parts += [f"--images {shlex.quote(str(self.images))}"] if self.images else []
        parts += [f"--out {shlex.quote(str(self.folder))}"]
        parts += ["--keep"] if self.keep else []
        parts += ["--force"] if self.force else []
        return flags.follow_up(" ".join(parts))


@dataclass(frozen=True, slots=True)
class Predicting:
    """One run of `--predict`."""

    out: Out
    flags: CloudFlags
    connection: Connection
    journal: Journal
    job: Job
    wishes: PredictWishes

    def run(self) -> None:
        """Predict and write the bundle. Raises Interrupted, with the command that goes on, on Ctrl-C."""
        from cxr.cli.cloud.service_predictions import check_place
        from cxr.cloud.exporting.automl import check_model_manifest
        from cxr.cloud.exporting.bringing import known_manifest
        from cxr.cloud.vertex.models import get_model
        from cxr.cloud.vertex.pipelines import model_of
        from cxr.manifests.manifest_file import read_manifest

        check_has_model(self.job)
        check_place(self.wishes.folder, force=self.wishes.force)
        manifest = read_manifest(self.wishes.manifest)
        known_manifest(self.job, manifest.hash)
        model = get_model(self.connection, model_of(self.connection, self.job))
        check_model_manifest(model, manifest.hash)
        if not (model.in_batches if self.wishes.way == "batch" else model.online):
            raise UsageError(
                f"the service gives no {self.wishes.way} predictions of this model, which is made for devices",
                hint=f"judge it here: cxr cloud export {self.job.id}, then cxr compare",
            )
        way = self._batch if self.wishes.way == "batch" else self._online
        try:
            way(manifest, model)
        except (KeyboardInterrupt, Interrupted) as error:
            said = error.message if isinstance(error, Interrupted) else "stopped by Ctrl-C"
            raise Interrupted(said, hint=self.wishes.command(self.job, self.flags)) from None

    def _batch(self, manifest: Manifest, model: ServiceModel) -> None:
        from cxr.cli.cloud.common import open_journal
        from cxr.cloud.launching import launch
        from cxr.cloud.vertex import batch_prediction
        from cxr.cloud.vertex.launches import latest_attempt

        out, connection, journal = self.out, self.connection, self.journal
        plan = batch_prediction.plan_batch(connection, manifest, model.resource, self.job.id)
        plan = latest_attempt(connection, journal, plan, again=self.wishes.again)
        known = journal.get(plan.job_id)
        running = known is not None and bool(known.resource)
        if not running or self.wishes.dry_run:
            show_plan(out, "batch prediction", plan.rows(), plan.notes)
        if self.wishes.dry_run:
            out.result("cloud.plan", plan.as_json())
            return
        if not running:
            self._check_cost(plan.cost.worst_usd)
            out.confirm(f"Launch {plan.job_id}?", yes=self.wishes.yes)
        launched = launch(
            journal,
            plan,
            lambda: batch_prediction.submit_batch(plan, manifest, on_step=out.say),
            prepare=lambda: batch_prediction.check_pictures_uploaded(connection, manifest),
            output_url=batch_prediction.output_url(plan),
        )
        out.say(f"{'launched' if launched.fresh else 'found'} {launched.job.id}: {launched.job.resource}")
        settings = self.flags.settings()
        ended = wait_for(open_journal(settings).find(launched.job.id), settings, out)
        if not ended.succeeded:
            raise JobFailed(
                f"{ended.id} is {ended.state}: {ended.error or 'the service gave no reason'}",
                hint=f"cxr cloud status {ended.id}",
            )
        scores = batch_prediction.read_scores(connection, ended, manifest)
        hours = batch_prediction.billed_hours(connection, ended)
        cost = plan.cost
        answered = self._answered(model, hours, cost.price.usd_per_hour, cost.worst_usd, ended)
        self._finish(manifest, scores, answered)
        journal.update(ended, exported_to=str(self.wishes.folder))

    def _online(self, manifest: Manifest, model: ServiceModel) -> None:
        from cxr.cloud import serving
        from cxr.cloud.prediction_prices import ONLINE_NODE_HOUR, online_estimate
        from cxr.cloud.scores import pictures_of

        out, connection = self.out, self.connection
        pictures = pictures_of(manifest)
        serving.check_requests(pictures)
        read = self._reader(manifest)
        price = ONLINE_NODE_HOUR.usd_per_hour
        estimate = online_estimate(len(pictures))
        there = serving.endpoint_of(connection, self.journal, self.job)
        free = "nothing here; on Google " if not connection.billed else ""
        rows = [
            ("job", self.job.id),
            ("on", connection.place),
            ("model", model.resource),
            ("manifest", manifest.hash[:16]),
            ("images", f"{len(pictures):,}, one a request, as they are"),
            ("endpoint", there.resource if there else "one is made, the model deployed to one node"),
            ("price", f"{free}{price:g} USD an hour while it is there, read {ONLINE_NODE_HOUR.read_on}"),
            ("cost", f"{free}about {price * estimate.expected_hours:,.2f} USD ({estimate.basis})"),
            ("afterwards", "the endpoint STAYS and is billed by the hour" if self.wishes.keep else "it is removed"),
        ]
        remove = self.flags.follow_up(f"cxr cloud evaluate {self.job.id} --remove-endpoint")
        show_plan(out, "online prediction", rows, [f"should this program be killed, remove the endpoint: {remove}"])
        payload = {"images": len(pictures), "usd_per_hour": price, "worst_case_usd": price * estimate.worst_hours}
        if self.wishes.dry_run:
            out.result("cloud.plan", {"job": self.job.id, "way": "online", **payload})
            return
        self._check_cost(price * estimate.worst_hours)
        out.confirm(f"Deploy the model for {price:g} USD an hour?", yes=self.wishes.yes)
        since = time.monotonic()
        with (
            serving.serving(
                connection, self.journal, self.job, model.resource, manifest.hash, keep=self.wishes.keep, say=out.say
            ) as served,
            out.progress("scoring") as advance,
        ):
            scores = serving.score_online(connection, served, pictures, manifest.classes, read, on_progress=advance)
        if self.wishes.keep:
            out.warn(f"{served.resource} is still there, for {price:g} USD an hour. Remove it: {remove}")
        hours = (time.monotonic() - since) / 3600
        self._finish(manifest, scores, self._answered(model, hours, price, price * estimate.worst_hours))

    def _reader(self, manifest: Manifest) -> Any:
        """Reads an image's bytes where they are: the folder of the manifest (or --images), else the bucket."""
        import hashlib

        from cxr.errors import ChangedOnDisk, InputError

        root = self.wishes.images or (None if manifest.is_remote else manifest.root)
        store = self.connection.store("images")

        def read(picture: Picture) -> bytes:
            if root is None or not root.is_dir():
                data = store.get_bytes(picture.path)
            else:
                try:
                    data = (root / picture.path).read_bytes()
                except OSError as error:
                    raise InputError(f"cannot read {root / picture.path}: {error.strerror}") from error
            if picture.sha256 and hashlib.sha256(data).hexdigest() != picture.sha256:
                raise ChangedOnDisk(f"{picture.path} is not the image that was scanned", hint="cxr data scan DIR")
            return data

        return read

    def _check_cost(self, worst_usd: float) -> None:
        if self.wishes.max_cost is not None and worst_usd > self.wishes.max_cost:
            raise NotAllowed(
                f"this may cost {worst_usd:,.2f} USD, more than --max-cost {self.wishes.max_cost:g}",
                hint="a manifest with fewer test images, or a higher --max-cost",
            )

    def _answered(
        self, model: ServiceModel, hours: float | None, usd_per_hour: float, worst_usd: float, batch: Job | None = None
    ) -> Answered:
        from cxr.cli.cloud.service_predictions import Answered
        from cxr.cloud.exporting.automl import is_stand_in, job_provenance

        stand_in, billed = is_stand_in(model), self.connection.billed
        actual = None if hours is None else round(hours * usd_per_hour, 4)
        cost = {
            "worst_case_usd": round(worst_usd, 2),
            "actual_usd": actual if billed else 0.0,
            "hours": hours,
            "usd_per_hour": usd_per_hour,
            "billed": billed,
        }
        provenance = {**job_provenance(self.job), "model": model.resource}
        if batch is not None:
            provenance |= {"batch_job": batch.id, "batch_resource": batch.resource}
        name = "automl-stand-in" if stand_in else "automl"
        return Answered(name, stand_in, self.wishes.way, provenance, cost)

    def _finish(self, manifest: Manifest, scores: Any, answered: Answered) -> None:
        from cxr.cli.cloud.service_predictions import write_answers

        bundle: Bundle = write_answers(self.wishes.folder, manifest, scores, answered)
        out, folder = self.out, self.wishes.folder
        out.table(
            ("predictions", "images", "classes", "predicted"),
            [(str(folder), len(scores.rows), " ".join(scores.classes), answered.way)],
        )
        if answered.stand_in:
            out.warn("this model is the emulator's stand-in for AutoML, not Google's")
        out.hint(f"cxr compare {folder} --manifest {self.wishes.manifest}")
        out.result(
            "cloud.predict",
            {
                "bundle": str(folder),
                "hash": bundle.hash,
                "images": len(scores.rows),
                "classes": list(scores.classes),
                "manifest_hash": manifest.hash,
                "stand_in": answered.stand_in,
                "way": answered.way,
                "cost": dict(answered.cost),
                "provenance": dict(answered.provenance),
            },
        )


def remove_endpoint(out: Out, connection: Connection, journal: Journal, job: Job, *, yes: bool) -> None:
    """`cxr cloud evaluate JOB --remove-endpoint`."""
    from cxr.cloud import serving

    found = serving.endpoint_of(connection, journal, job)
    if found is None:
        out.say(f"there is no endpoint of {job.id}")
    else:
        out.confirm(f"Remove {found.resource}?", yes=yes)
    removed = serving.remove_endpoint(connection, journal, job, say=out.say)
    if removed and found:
        out.say(f"removed {found.resource}")
    out.result("cloud.remove-endpoint", {"job": job.id, "endpoint": found.resource if found else None})
