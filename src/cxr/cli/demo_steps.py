"""The demo's steps: each calls the function that the command of the same name calls, and each finds what an earlier,
perhaps killed, run has finished: the manifest by its hash, objects by their checksums, jobs by the journal, models by
their bundles."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from cxr.cli.cloud.common import open_journal, show_plan
from cxr.cli.cloud.wait import wait_for
from cxr.cli.demo_server import kept_running
from cxr.cli.out import Out
from cxr.cli.transfer_line import transfer_line
from cxr.errors import CheckFailed, InputError, JobFailed, NotAllowed, UsageError
from cxr.extras import require_extras
from cxr.files import private_folder
from cxr.settings import Settings, Target

if TYPE_CHECKING:
    from cxr.bundle import Bundle
    from cxr.cloud.connection import Connection
    from cxr.cloud.jobs.journal import Job
    from cxr.cloud.jobs.launching import Launch
    from cxr.cloud.provider import LaunchOptions, Provider, ServerWishes
    from cxr.compare.comparison import Comparison
    from cxr.manifests.manifest import Manifest

STEPS = 10
BASELINE_RECIPE = "cnn5"
#: What the steps take in the end, beside what the server of this machine takes.
EXTRAS = ("train", "litert", "report")
#: The emulator trains one job at a time here: the baseline is trained beside it, on the same cores.
EMULATOR_JOBS = 1
#: Rules of the check that are only warnings elsewhere; the demo sends the data to AutoML.
REFUSED_BY_AUTOML = frozenset({"vertex-label-spelling", "vertex-few-images"})


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What the demo was asked for; see `cxr demo --help`."""

    folder: Path
    data: Path | None
    images: int
    epochs: int | None
    gpu_recipe: str
    weights: str
    seed: int
    keep_emulator: bool
    on: Target = Target.EMULATOR

    @property
    def settings(self) -> Settings:
        """The demo works on the server of its own folder, whatever cxr.toml and the environment say."""
        return Settings(on=self.on, state_dir=self.folder / ".cxr")

    @property
    def provider(self) -> Provider:
        """The cloud that the server stands for."""
        from cxr.cloud.providers import provider_of

        return provider_of(self.on)

    @property
    def cache(self) -> Path:
        """Decoded images and predictions, shared by training and scoring."""
        return self.folder / ".cxr" / "cache"


class _Teller:
    """Numbers the steps and remembers when the demo began."""

    def __init__(self, out: Out) -> None:
        self._out = out
        self._number = 0
        self._start = time.monotonic()

    def step(self, title: str) -> None:
        self._number += 1
        self._out.say(f"\n[{self._number}/{STEPS}] {title}  ({self.elapsed()})")

    def elapsed(self) -> str:
        minutes, seconds = divmod(int(time.monotonic() - self._start), 60)
        return f"{minutes}:{seconds:02d}"


def run_demo(options: DemoOptions, out: Out) -> None:
    """Do every step, print the comparison's table and say where everything is."""
    if options.data is not None and not options.data.is_dir():
        raise InputError(
            f"there is no folder {options.data}", hint="cxr demo --data DIR, or cxr demo for synthetic images"
        )
    # Said before the first step, not minutes later in the middle.
    require_extras("gcp" if options.on is Target.EMULATOR else "aws-local", *EXTRAS)
    tell = _Teller(out)
    with _locked(options.folder):
        out.say(f"everything goes to {options.folder} (run the same command again to go on after an interruption)")
        manifest = _prepare_data(options, out, tell)
        connection = _start_emulator(options, out, tell)
        try:
            with kept_running(options.provider, options.settings, _wishes(options), out.say):
                _upload(connection, manifest, out, tell)
                launched = _launch_jobs(options, connection, manifest, out, tell)
                baseline = _train_baseline(options, manifest, out, tell)
                bundles = [_bring_home(options, job, out, tell) for job in launched]
        finally:
            # After an interruption the emulator goes on with its jobs, as a cloud would, and ends by itself when idle.
            unfinished = any(job.resource and not job.finished for job in open_journal(options.settings).jobs())
            if not options.keep_emulator and not unfinished:
                options.provider.stop_server(options.settings)
        comparison = _compare(options, [*bundles, baseline], manifest, out, tell)
        page = _build_page(options, baseline, manifest, out, tell)
    _finish(options, comparison, page, out, tell)


def _prepare_data(options: DemoOptions, out: Out, tell: _Teller) -> Manifest:
    from cxr.manifests.manifest_file import write_manifest
    from cxr.manifests.scan.folder import scan
    from cxr.manifests.splits.split import make_validation

    tell.step(
        f"the data: {options.data}" if options.data else "the data: a synthetic set, drawn here (not real X-rays)"
    )
    folder = options.data or _synthetic_images(options, out)
    with out.progress("scanning") as advance:
        scanned = scan(folder, on_progress=advance)
    manifest = write_manifest(make_validation(scanned, seed=options.seed), options.folder / "manifest.csv")
    _show_check(manifest, out)
    return manifest


def _synthetic_images(options: DemoOptions, out: Out) -> Path:
    from cxr.manifests.sample import draw_sample

    folder = options.folder / f"synthetic-{options.images}-{options.seed}" / "chest_xray"
    if not folder.is_dir():
        drawing = folder.with_name("drawing")
        shutil.rmtree(drawing, ignore_errors=True)
        with out.progress("drawing") as advance:
            draw_sample(drawing, images=options.images, seed=options.seed, on_progress=advance)
        drawing.rename(folder)
    return folder


def _show_check(manifest: Manifest, out: Out) -> None:
    from cxr.compare.ruler import check_split
    from cxr.manifests.check import check
    from cxr.manifests.scan.problems import SCAN_RULES

    header = manifest.header
    labels = manifest.classes
    rows = [[split, *(counts.get(label, 0) for label in labels)] for split, counts in header.counts.items()]
    out.table(["split", *labels], rows)
    check_split(manifest, "test")
    report = check(manifest)
    for finding in report.findings:
        out.say(f"  {finding.severity}: {finding.message}")
    # A file that cannot be read is not in the manifest and spoils nothing; a leak does.
    if any(finding.rule not in SCAN_RULES for finding in report.errors):
        raise CheckFailed("the data has problems that make every later number wrong", hint="see: cxr data check")
    refused = [finding for finding in report.warnings if finding.rule in REFUSED_BY_AUTOML]
    if refused:
        raise CheckFailed(f"AutoML would refuse this data: {refused[0].message}", hint=refused[0].fix)


def _start_emulator(options: DemoOptions, out: Out, tell: _Teller) -> Connection:
    from cxr.cloud.connection import connect

    tell.step(f"{options.provider.server_words}, on this machine")
    url = options.provider.start_server(options.settings, _wishes(options))
    out.say(f"  {url}")
    return connect(options.settings)


def _wishes(options: DemoOptions) -> ServerWishes:
    from cxr.cloud.provider import ServerWishes

    return ServerWishes(EMULATOR_JOBS, options.epochs)


def _upload(connection: Connection, manifest: Manifest, out: Out, tell: _Teller) -> None:
    from cxr.cloud.uploading import destination_of, plan_manifest_upload, send_manifest
    from cxr.storage.transfer.haul import Haul

    tell.step("upload")
    with TemporaryDirectory(prefix="cxr-plan-") as scratch, transfer_line(out, "uploading") as on_tally:
        haul = Haul(on_tally=on_tally)
        upload = plan_manifest_upload(destination_of(connection, haul), manifest, Path(scratch) / "plan.jsonl")
        show_plan(out, f"upload of {len(manifest.frame):,} images", upload.rows())
        outcome = send_manifest(upload)
    outcome.require_complete("sent")


def _launch_jobs(
    options: DemoOptions, connection: Connection, manifest: Manifest, out: Out, tell: _Teller
) -> list[Job]:
    return [
        _launch_automl(options, connection, manifest, out, tell),
        _launch_gpu_job(options, connection, manifest, out, tell),
    ]


def _launch_automl(options: DemoOptions, connection: Connection, manifest: Manifest, out: Out, tell: _Teller) -> Job:
    from cxr.cloud.jobs.attempts import latest_attempt
    from cxr.cloud.provider import AutoMLWishes

    tell.step("AutoML: the plan with its price, then the job")
    journal = open_journal(options.settings)
    provider = connection.provider
    job_options = provider.automl_options(AutoMLWishes())
    plan = provider.plan_automl(connection, manifest, job_options, prices=None)
    if options.epochs:
        # Not the service's business, but a stand-in of one epoch is another model than one of twenty.
        plan = replace(plan, request={**plan.request, "stand_in_epochs": options.epochs})
    plan = latest_attempt(connection, journal, plan, again=False)
    show_plan(out, plan.kind, plan.rows(), plan.notes)
    return _told(provider.launch(journal, plan, manifest, job_options, _steps_to(out)), out)


def _launch_gpu_job(options: DemoOptions, connection: Connection, manifest: Manifest, out: Out, tell: _Teller) -> Job:
    from cxr.cloud.jobs.attempts import latest_attempt
    from cxr.cloud.provider import HardwareWishes
    from cxr.cloud.trainer.job import CustomOptions

    tell.step("a GPU job: the same trainer that runs here, sent as a wheel")
    journal = open_journal(options.settings)
    provider, wishes = connection.provider, HardwareWishes()
    hardware = provider.hardware(wishes)
    job_options = CustomOptions(
        options.gpu_recipe,
        hardware,
        epochs=options.epochs,
        seed=options.seed,
        weights=options.weights,
        image=provider.image(connection, hardware, wishes),
        engine=provider.engine(wishes),
    )
    first = provider.plan_custom(connection, manifest, job_options, prices=None)
    plan = latest_attempt(connection, journal, first, again=False)
    show_plan(out, plan.kind, plan.rows(), plan.notes)
    return _told(provider.launch(journal, plan, manifest, job_options, _steps_to(out)), out)


def _steps_to(out: Out) -> LaunchOptions:
    from cxr.cloud.provider import LaunchOptions

    return LaunchOptions(on_step=lambda said: out.say(f"  {said}"))


def _told(launched: Launch, out: Out) -> Job:
    out.say(f"  {launched.job.id}: {launched.job.state}{'' if launched.fresh else ' (launched before)'}")
    return launched.job


def _train_baseline(options: DemoOptions, manifest: Manifest, out: Out, tell: _Teller) -> Bundle:
    from cxr.local_baseline.local_training import Listeners, train_here
    from cxr.local_baseline.request import TrainRequest

    tell.step(f"the local baseline: {BASELINE_RECIPE}, trained here while the jobs run")
    request = TrainRequest(
        manifest=manifest,
        images=str(manifest.root),
        recipe=BASELINE_RECIPE,
        output=options.folder / "runs" / f"baseline-{BASELINE_RECIPE}",
        cache_dir=options.cache,
        epochs=options.epochs,
        seed=options.seed,
        name=f"baseline-{BASELINE_RECIPE}",
    )
    with out.progress("training") as advance:
        bundle = train_here(request, options.settings.state_dir / "checkpoints", Listeners(advance, say=out.say))
    out.say(f"  {bundle.folder}")
    return bundle


def _bring_home(options: DemoOptions, job: Job, out: Out, tell: _Teller) -> Bundle:
    from cxr.bundle import read_bundle
    from cxr.cli.cloud.verifying import OneImageScorer
    from cxr.cloud.connection import connect
    from cxr.cloud.exporting import ExportOptions, export_job
    from cxr.cloud.provider import Feature

    tell.step(f"wait for {job.id} and bring its model home")
    job = wait_for(job, options.settings, out)
    if not job.succeeded:
        raise JobFailed(f"{job.id} is {job.state}: {job.error}", hint="run the demo again: it launches a new attempt")
    target = options.folder / "runs" / job.id
    if (target / "bundle.json").is_file():
        return read_bundle(target)
    if job.kind == "automl" and Feature.AUTOML_EXPORTS in options.provider.lacks:
        return _predict(options, job, target, out)
    with out.progress("exporting") as advance:
        how = ExportOptions(OneImageScorer(), options.settings.state_dir / "exports")
        bundle = export_job(connect(options.settings), job, target, how, on_progress=advance).bundle
    journal = open_journal(options.settings)
    journal.update(journal.find(job.id), exported_to=str(target))
    out.say(f"  {target}")
    return bundle


def _predict(options: DemoOptions, job: Job, target: Path, out: Out) -> Bundle:
    """The answers of a model that stays on the service, as a bundle."""
    from cxr.bundle import read_bundle
    from cxr.cli.cloud.common import CloudFlags
    from cxr.cli.cloud.predict_steps import Predicting, PredictWishes
    from cxr.cloud.connection import connect

    out.say(f"  {options.provider.name}'s model stays on the service: it predicts there, in a batch")
    flags = CloudFlags(on=options.on, state_dir=options.settings.state_dir)
    journal = open_journal(options.settings)
    manifest = options.folder / "manifest.csv"
    wishes = PredictWishes("batch", manifest, None, target, None, False, False, False, False, True)
    Predicting(out, flags, connect(options.settings), journal, job, wishes).run()
    return read_bundle(target)


def _compare(options: DemoOptions, bundles: list[Bundle], manifest: Manifest, out: Out, tell: _Teller) -> Comparison:
    from cxr.cli.compare.tables import print_comparison
    from cxr.compare.comparison import compare

    tell.step("the comparison: all models on the same test patients")
    with out.progress("scoring") as advance:
        comparison = compare(
            bundles, manifest, output=options.folder / "compare", cache_dir=options.cache, on_progress=advance
        )
    print_comparison(comparison, out)
    return comparison


def _build_page(options: DemoOptions, baseline: Bundle, manifest: Manifest, out: Out, tell: _Teller) -> Path | None:
    """The page's folder, None in a checkout whose web files are not built."""
    from cxr.cli.web.making import PageOptions, make_page
    from cxr.webapp.static import static_folder

    tell.step("the page that reads an X-ray in the browser, with the local baseline inside")
    try:
        static_folder()
    except UsageError as error:
        out.say(f"  left out: {error.message} ({error.hint})")
        return None
    page = make_page(out, baseline, options.folder / "page", PageOptions(options.cache, manifest))
    out.say(f"  {page.folder}")
    return page.folder


def _finish(options: DemoOptions, comparison: Comparison, page: Path | None, out: Out, tell: _Teller) -> None:
    from cxr.compare.results.document import results

    payload = {
        "folder": str(options.folder),
        "report": str(comparison.report_path),
        "page": str(page) if page else None,
    }
    out.result("demo", {**payload, "comparison": results(comparison)})
    out.say(f"\ndone in {tell.elapsed()}. Everything is in {options.folder}; the report is {comparison.report_path}")
    if page is not None:
        out.hint(f"cxr web serve {page} --open   (drop an X-ray on it)")
    if options.data is None:
        out.hint("cxr demo --data DIR   (the same on real X-rays, in the folders of the Kaggle release)")
    else:
        manifest_path = options.folder / "manifest.csv"
        out.hint(f"cxr cloud train automl --manifest {manifest_path} {options.provider.real_flags} --dry-run")


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    # Two demos in one folder would train everything twice and overwrite each other's files.
    try:
        private_folder(folder)
        descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise NotAllowed(
            f"cannot make the folder {folder}: {error.strerror}", hint="choose another: --out DIR"
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise UsageError(f"another demo is at work in {folder}", hint="wait for it, or choose another --out") from None
    finally:
        os.close(descriptor)
