"""The steps of `cxr cloud evaluate --predict`: plan, price, ask, predict, bring home."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cxr.cli.cloud.common import CloudFlags, show_plan
from cxr.cli.cloud.evaluation_steps import check_has_model
from cxr.cli.cloud.wait import wait_for
from cxr.cli.out import Out
from cxr.errors import Interrupted, JobFailed, NotAllowed, UsageError
from cxr.progress import Progress

if TYPE_CHECKING:
    from cxr.bundle import Bundle
    from cxr.cli.cloud.service_predictions import Answered
    from cxr.cloud.connection import Connection
    from cxr.cloud.jobs.journal import Job, Journal
    from cxr.cloud.jobs.seen import PredictingModel
    from cxr.cloud.predicting.online import Served
    from cxr.cloud.predicting.scores import Scores
    from cxr.manifests.manifest import Manifest


@dataclass(frozen=True, slots=True)
class PredictWishes:
    """What the command line asks of predictions. `max_cost` is in USD; None: no bound."""

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

    def command(self, job: Job, flags: CloudFlags, *, again: bool = False) -> str:
        """The command that goes on where this one stopped; with `again` one that had begun nothing anew yet."""
        parts = [f"cxr cloud evaluate {job.id} --predict {self.way} --manifest {shlex.quote(str(self.manifest))}"]
        parts += [f"--images {shlex.quote(str(self.images))}"] if self.images else []
        parts += [f"--out {shlex.quote(str(self.folder))}"]
        parts += ["--keep"] if self.keep else []
        parts += ["--again"] if again else []
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
        from cxr.cloud.exporting.bringing import known_manifest
        from cxr.cloud.provider import Feature, check_offered
        from cxr.manifests.manifest_file import read_manifest

        check_has_model(self.job)
        if self.wishes.way == "online":
            check_offered(self.connection.provider, Feature.ENDPOINTS)
        check_place(self.wishes.folder, self.job.id, force=self.wishes.force)
        manifest = read_manifest(self.wishes.manifest)
        known_manifest(self.job, manifest.hash)
        model = self.connection.provider.predicting_model(self.connection, self.job, manifest.hash)
        if not (model.in_batches if self.wishes.way == "batch" else model.online):
            raise UsageError(
                f"the service gives no {self.wishes.way} predictions of this model, which is made for devices",
                hint=f"judge it here: cxr cloud export {self.job.id}, then cxr compare",
            )
        way = self._batch if self.wishes.way == "batch" else self._online
        way(manifest, model)

    @contextmanager
    def _resumable(self, batch: str = "") -> Iterator[None]:
        """Ctrl-C inside tells the command that goes on: with --again as long as the new `batch` was not launched."""
        try:
            yield
        except (KeyboardInterrupt, Interrupted) as error:
            known = self.journal.get(batch) if batch else None
            again = bool(batch) and self.wishes.again and not (known and known.resource)
            said = error.message if isinstance(error, Interrupted) else "stopped by Ctrl-C"
            raise Interrupted(said, hint=self.wishes.command(self.job, self.flags, again=again)) from None

    def _batch(self, manifest: Manifest, model: PredictingModel) -> None:
        from cxr.cli.cloud.common import open_journal
        from cxr.cloud.jobs.attempts import latest_attempt, newest_attempt
        from cxr.cloud.jobs.launching import launch, teller
        from cxr.cloud.predicting.scores import SPLIT
        from cxr.cloud.uploading import check_split_uploaded

        out, connection, journal = self.out, self.connection, self.journal
        provider = connection.provider
        plan = provider.plan_batch(connection, manifest, model.resource, self.job.id)
        if self.wishes.again:
            plan = latest_attempt(connection, journal, plan, again=True)
        else:
            plan = newest_attempt(connection, journal, plan)
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
        with self._resumable(plan.job_id):
            launched = launch(
                journal,
                plan,
                lambda: provider.submit_batch(plan, manifest, on_step=out.say),
                prepare=lambda: check_split_uploaded(connection, manifest, SPLIT),
                output_url=f"{connection.base_url}/predictions/{plan.job_id}",
                on_trouble=teller(out.say),
            )
            out.say(f"{'launched' if launched.fresh else 'found'} {launched.job.id}: {launched.job.resource}")
            settings = self.flags.settings()
            ended = wait_for(open_journal(settings).find(launched.job.id), settings, out)
            if not ended.succeeded:
                raise JobFailed(
                    f"{ended.id} is {ended.state}: {ended.error or 'the service gave no reason'}",
                    hint=self.flags.follow_up(f"cxr cloud status {ended.id}"),
                )
            scores = provider.read_scores(connection, ended, manifest)
            hours = provider.billed_hours(connection, ended)
            cost = plan.cost
            answered = self._answered(model, hours, cost.price.usd_per_hour, cost.worst_usd, ended)
            self._finish(manifest, scores, answered)
        journal.update(ended, exported_to=str(self.wishes.folder))

    def _online(self, manifest: Manifest, model: PredictingModel) -> None:
        from cxr.cli.cloud.pictures import place_of
        from cxr.cloud.predicting import online
        from cxr.cloud.predicting.scores import pictures_of
        from cxr.cloud.prices.predictions import ONLINE_NODE_HOUR, online_estimate

        out, connection = self.out, self.connection
        pictures = pictures_of(manifest)
        online.check_requests(pictures)
        place = place_of(connection, manifest, pictures, self.wishes.images)
        price = ONLINE_NODE_HOUR.usd_per_hour
        estimate = online_estimate(len(pictures))
        there = online.endpoint_of(connection, self.journal, self.job)
        free = f"nothing here; on {connection.provider.name} " if not connection.billed else ""
        rows = [
            ("job", self.job.id),
            ("on", connection.place),
            ("model", model.resource),
            ("manifest", manifest.hash[:16]),
            ("images", f"{len(pictures):,}, one a request, as they are, from {place.name}"),
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
        with self._resumable():
            worst = price * estimate.worst_hours
            self._serve(
                manifest,
                model,
                worst,
                remove,
                lambda served, advance: online.score_online(
                    connection, served, pictures, manifest.classes, place.read, on_progress=advance
                ),
            )

    def _serve(
        self,
        manifest: Manifest,
        model: PredictingModel,
        worst_usd: float,
        remove: str,
        score: Callable[[Served, Progress], Scores],
    ) -> None:
        """Score while there is an endpoint. The answers are paid for: they come home before it is told that the
        endpoint could not be removed."""
        from cxr.cloud.predicting import online
        from cxr.cloud.prices.predictions import ONLINE_NODE_HOUR

        out, price, since = self.out, ONLINE_NODE_HOUR.usd_per_hour, time.monotonic()
        scores: Scores | None = None
        left: online.StillThere | None = None
        try:
            with (
                online.serving(
                    self.connection,
                    self.journal,
                    self.job,
                    model.resource,
                    manifest.hash,
                    keep=self.wishes.keep,
                    say=out.say,
                    remove_command=remove,
                ) as served,
                out.progress("scoring") as advance,
            ):
                scores = score(served, advance)
        except online.StillThere as error:
            left = error
        if scores is not None:
            hours = (time.monotonic() - since) / 3600
            self._finish(manifest, scores, self._answered(model, hours, price, worst_usd))
            if self.wishes.keep and left is None:
                out.warn(f"{served.resource} is still there, for {price:g} USD an hour. Remove it: {remove}")
        if left is not None:
            raise left

    def _check_cost(self, worst_usd: float) -> None:
        if self.wishes.max_cost is not None and worst_usd > self.wishes.max_cost:
            raise NotAllowed(
                f"this may cost {worst_usd:,.2f} USD, more than --max-cost {self.wishes.max_cost:g}",
                hint="a manifest with fewer test images, or a higher --max-cost",
            )

    def _answered(
        self,
        model: PredictingModel,
        hours: float | None,
        usd_per_hour: float,
        worst_usd: float,
        batch: Job | None = None,
    ) -> Answered:
        from cxr.cli.cloud.service_predictions import Answered
        from cxr.cloud.exporting.provenance import job_provenance

        stand_in, billed = model.stand_in, self.connection.billed
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

    def _finish(self, manifest: Manifest, scores: Scores, answered: Answered) -> None:
        from cxr.cli.cloud.service_predictions import write_answers

        bundle: Bundle = write_answers(self.wishes.folder, manifest, scores, answered)
        out, folder = self.out, self.wishes.folder
        out.table(
            ("predictions", "images", "classes", "predicted"),
            [(str(folder), len(scores.rows), " ".join(scores.classes), answered.way)],
        )
        if answered.stand_in:
            out.warn("this model is a stand-in that was trained here, not the cloud's own")
        out.hint(f"cxr compare {shlex.quote(str(folder))} --manifest {shlex.quote(str(self.wishes.manifest))}")
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


def remove_endpoint(
    out: Out, flags: CloudFlags, connection: Connection, journal: Journal, job: Job, *, yes: bool
) -> None:
    """`cxr cloud evaluate JOB --remove-endpoint`."""
    from cxr.cloud.predicting import online

    found = [one.resource for one in online.endpoints_of(connection, journal, job)]
    if found:
        out.confirm(f"Remove {', '.join(found)}?", yes=yes)
    else:
        out.say(f"there is no endpoint of {job.id}")
    command = flags.follow_up(f"cxr cloud evaluate {job.id} --remove-endpoint")
    removed = online.remove_endpoint(connection, journal, job, say=out.say, remove_command=command)
    if removed:
        out.say(f"removed {', '.join(removed)}")
    out.result("cloud.remove-endpoint", {"job": job.id, "endpoint": next(iter(removed), None), "endpoints": removed})
