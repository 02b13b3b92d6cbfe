"""What the service and the journal know of cxr's jobs in one project and region, and which runs a manifest has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from cxr.cloud.cleaning.leftovers import Scope, Sort
from cxr.cloud.cleaning.places import Places, Where, is_at, is_here, places_of
from cxr.cloud.connection import Connection
from cxr.cloud.jobs.journal import Job, Journal
from cxr.cloud.jobs.seen import MANIFEST_LABEL, RUN_LABEL, Seen
from cxr.cloud.plans.launch import JobKind

SORT_OF = {
    JobKind.AUTOML: Sort.AUTOML,
    JobKind.CUSTOM: Sort.CUSTOM,
    JobKind.TUNE: Sort.TUNE,
    JobKind.BATCH: Sort.BATCH,
}


@dataclass(frozen=True, slots=True)
class Found:
    """Every labelled job of the service, and the journal's, whatever bucket and prefix they were launched for."""

    connection: Connection
    jobs: tuple[tuple[JobKind, Seen], ...]
    journal: tuple[Job, ...]
    places: Places

    def runs_with(self, manifest: str, *, anywhere: bool = False) -> set[str]:
        """Runs of a manifest (its label) that are there: in the journal and not cleaned up, or on the service; those
        that were launched elsewhere only with `anywhere`."""
        if not manifest:
            return set()
        known = {
            job.id
            for job in self.journal
            if job.manifest_hash.startswith(manifest)
            and not job.cleaned
            and job.kind is not JobKind.IMPORT
            and (anywhere or is_at(job, self.connection))
        }
        listed = [(run_of(seen), self.places.of(seen.labels, seen.output_url)) for seen in self._of(manifest)]
        away = set() if anywhere else {run for run, where in listed if where is Where.ELSEWHERE}
        return (known | {run for run, _ in listed}) - away

    def manifests_of(self, scope: Scope) -> set[str]:
        """The labels of the manifests whose last runs are in scope: their datasets and import files go too."""
        if scope.manifest:
            return {scope.manifest}
        labels = {seen.labels.get(MANIFEST_LABEL, "") for _, seen in self.jobs if run_of(seen) in scope.runs}
        labels |= {job.manifest_hash[:32] for job in self.journal if job.id in scope.runs}
        return {label for label in labels if label and not self.runs_with(label) - scope.runs}

    def _of(self, manifest: str) -> Iterable[Seen]:
        return (seen for _, seen in self.jobs if seen.labels.get(MANIFEST_LABEL) == manifest)


@dataclass(frozen=True, slots=True)
class Hunt:
    """What is looked for: `scope`, in which a manifest's runs are already, and the runs that were `named` one by
    one."""

    connection: Connection
    found: Found
    scope: Scope
    named: frozenset[str]

    def verdict(self, labels: Mapping[str, str], output_url: str = "") -> str | None:
        """None for what is not part of this; why it stays; "" when it goes. What was launched for another bucket or
        prefix is not part of this, and what does not tell goes only when it is named."""
        run = labels.get(RUN_LABEL, "")
        if not self.scope.takes(run, labels.get(MANIFEST_LABEL, "")):
            return None
        if run in self.named:
            return ""
        where = self.found.places.of(labels, output_url)
        if where is Where.ELSEWHERE:
            return None
        return "" if where is Where.HERE else self._earlier(run)

    def _earlier(self, run: str) -> str:
        why = "launched by an earlier version, perhaps for another bucket or prefix"
        if not run:
            return f"{why}: it goes with the last run of its manifest, when that is named"
        known = any(job.id == run for job in self.found.journal)
        return f"{why}: name it, {'' if known else 'cxr cloud attach --all, then '}cxr cloud clean {run}"


def start_hunt(connection: Connection, journal: Journal, scope: Scope) -> Hunt:
    """List the jobs. Raises what the services' listings raise."""
    here = tuple(job for job in journal.jobs() if is_here(job, connection))
    found = Found(
        connection, tuple(connection.provider.labelled_jobs(connection, SORT_OF)), here, places_of(connection, here)
    )
    return Hunt(connection, found, replace(scope, runs=scope.runs | found.runs_with(scope.manifest)), scope.runs)


def run_of(seen: Seen) -> str:
    """The run that a job of the service belongs to, "" for none."""
    return seen.labels.get(RUN_LABEL, "")
