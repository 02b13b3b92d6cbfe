"""Finding what runs left: by the journal, by the labels on the service, and by the folders in the bucket.

What carries none of cxr's labels and lies in none of its folders is never in a plan.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from cxr.cloud.cleaning.leftovers import CleanPlan, ImageChoice, Leftover, Scope, Sort
from cxr.cloud.connection import Connection
from cxr.cloud.journal import Job
from cxr.cloud.offers import Hardware
from cxr.cloud.plans import JobKind
from cxr.cloud.prices import PriceTable
from cxr.cloud.storage_prices import MonthlyPrice, automl_nodes_price, machines_price, storage_price
from cxr.cloud.vertex.attaching import MANIFEST_LABEL, RUN_LABEL
from cxr.cloud.vertex.clients import REQUEST_TIMEOUT_S, dataset_client, endpoint_client, model_client
from cxr.cloud.vertex.job_kinds import SERVICES, Seen
from cxr.errors import NotFound
from cxr.storage import ObjectInfo
from cxr.storage.buckets import find_bucket
from cxr.storage.google_errors import google_errors
from cxr.storage.retrying import RetryingStore

SORT_OF = {
    JobKind.AUTOML: Sort.AUTOML,
    JobKind.CUSTOM: Sort.CUSTOM,
    JobKind.TUNE: Sort.TUNE,
    JobKind.BATCH: Sort.BATCH,
}
ENDED = frozenset({"SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED"})
#: Folders below the prefix that hold one folder for each run.
RUN_FOLDERS = ("jobs", "exports", "predictions", "builds")
_RUN = re.compile(rf"(?:{'|'.join(JobKind)}|image)-[0-9a-f]{{10}}")
_IMPORT_FILE = re.compile(r"([0-9a-f]{16})\.(?:jsonl|csv)")
_MODEL_FILES = re.compile(r"(?:\d+/)?model/")
_LABELS = (RUN_LABEL, MANIFEST_LABEL)


@dataclass(frozen=True, slots=True)
class Found:
    """Everything of cxr in one project and region, whatever the scope: runs that have not ended protect what they
    use."""

    jobs: tuple[tuple[JobKind, Seen], ...]
    journal: tuple[Job, ...]

    def running(self) -> list[tuple[str, str]]:
        """(run, dataset) of every job that has not ended; "" for what is not known."""
        on_service = [(_run_of(seen), seen.dataset) for _, seen in self.jobs if seen.state not in ENDED]
        imports = [job for job in self.journal if job.kind is JobKind.IMPORT and job.resource and not job.finished]
        return [*on_service, *((job.id, str(job.details.get("dataset", ""))) for job in imports)]


def find_leftovers(
    connection: Connection,
    journal: list[Job],
    scope: Scope,
    prices: PriceTable,
    *,
    keep_models: bool = False,
    images: ImageChoice | None = None,
    on_step: Callable[[str], None] = lambda _: None,
) -> CleanPlan:
    """The plan of a clean-up. `images`: the images in the bucket go too, None: they stay.

    Raises what the services' listings raise.
    """
    here = tuple(job for job in journal if _is_here(job, connection))
    on_step("asking for jobs, models, endpoints and datasets")
    found = Found(tuple(_jobs(connection)), here)
    scope = replace(scope, runs=scope.runs | _runs_of_manifest(scope, found))
    models = list(_models(connection, found, keep_models))
    endpoints = list(_endpoints(connection, prices))
    leftovers = [*endpoints, *_with_deployments(models, endpoints, scope), *_job_leftovers(found)]
    leftovers = [one for one in leftovers if scope.takes(one.run, one.manifest)]
    leftovers += _datasets(connection, found, scope)
    on_step(f"listing {connection.base_url}")
    leftovers += _objects(connection, found, scope, keep_models=keep_models, images=images)
    return CleanPlan(connection.identity(), scope.words, tuple(leftovers), _notes(connection, leftovers))


def _jobs(connection: Connection) -> Iterable[tuple[JobKind, Seen]]:
    for kind in SORT_OF:
        listed: dict[str, Seen] = {}
        for label in _LABELS:
            with google_errors(f"list the {kind} jobs"):
                listed |= {seen.resource: seen for seen in SERVICES[kind].list(connection, f"labels.{label}:*")}
        yield from ((kind, seen) for seen in listed.values())


def _job_leftovers(found: Found) -> Iterable[Leftover]:
    for kind, seen in found.jobs:
        ended = seen.state in ENDED
        yield Leftover(
            SORT_OF[kind],
            seen.resource,
            _run_of(seen),
            seen.labels.get(MANIFEST_LABEL, ""),
            detail=seen.state,
            kept="" if ended else f"it is {seen.state}; end it first: cxr cloud cancel {_run_of(seen)}",
        )


def _models(connection: Connection, found: Found, keep_models: bool) -> Iterable[Leftover]:
    exported = {job.model for job in found.journal if job.exported_to and job.model}
    for model in _listed(connection, model_client, "models"):
        name = str(model.name).partition("@")[0]
        at = [str(one.endpoint) for one in model.deployed_models]
        told = ["exported before" if name in exported else "never exported from here"]
        yield Leftover(
            Sort.MODEL,
            name,
            str(model.labels.get(RUN_LABEL, "")),
            str(model.labels.get(MANIFEST_LABEL, "")),
            detail=", ".join([*told, *(f"deployed at {_tail(endpoint)}" for endpoint in at)]),
            kept="--keep-models" if keep_models else "",
            deployed=tuple(at),
        )


def _with_deployments(models: list[Leftover], endpoints: list[Leftover], scope: Scope) -> Iterable[Leftover]:
    going = {_tail(one.name) for one in endpoints if scope.takes(one.run, one.manifest)}
    for model in models:
        elsewhere = [_tail(endpoint) for endpoint in model.deployed if _tail(endpoint) not in going]
        if elsewhere and not model.kept:
            model = replace(model, kept=f"it is deployed at {', '.join(elsewhere)}, which is not part of this")
        yield replace(model, deployed=())


def _endpoints(connection: Connection, prices: PriceTable) -> Iterable[Leftover]:
    for endpoint in _listed(connection, endpoint_client, "endpoints"):
        parts = [_deployed_price(one, prices) for one in endpoint.deployed_models]
        known = [part.usd for part in parts if part.usd is not None]
        yield Leftover(
            Sort.ENDPOINT,
            str(endpoint.name),
            str(endpoint.labels.get(RUN_LABEL, "")),
            str(endpoint.labels.get(MANIFEST_LABEL, "")),
            detail=f"{len(parts)} deployed" if parts else "nothing deployed",
            usd_per_month=sum(known) if len(known) == len(parts) else None,
            basis="; ".join(dict.fromkeys(part.basis for part in parts)),
            deployed=tuple(str(one.id) for one in endpoint.deployed_models),
        )


def _deployed_price(deployed: Any, prices: PriceTable) -> MonthlyPrice:
    if deployed.automatic_resources:
        return automl_nodes_price(max(1, int(deployed.automatic_resources.min_replica_count)))
    own = deployed.dedicated_resources
    machine = own.machine_spec
    if not machine.machine_type:
        return MonthlyPrice(None, "a deployment on shared machines has no price in the table")
    accelerator = machine.accelerator_type.name if machine.accelerator_count else None
    count = max(1, int(own.min_replica_count))
    hardware = Hardware(str(machine.machine_type), accelerator, int(machine.accelerator_count), count)
    return machines_price(prices, hardware)


def _datasets(connection: Connection, found: Found, scope: Scope) -> Iterable[Leftover]:
    """A dataset belongs to a manifest, not to a run: it goes with the last run that has it."""
    running = found.running()
    for dataset in _listed(connection, dataset_client, "datasets"):
        manifest, run = str(dataset.labels.get(MANIFEST_LABEL, "")), str(dataset.labels.get(RUN_LABEL, ""))
        others = sorted(_runs_with(manifest, found) - scope.runs)
        if not scope.takes(run, manifest) and (others or not _manifests_of(scope, found) & {manifest}):
            continue
        users = [who for who, used in running if used and _tail(used) == _tail(str(dataset.name))]
        yield Leftover(
            Sort.DATASET,
            str(dataset.name),
            run,
            manifest,
            detail=f"{int(dataset.data_item_count):,} images",
            kept=f"{', '.join(users)} is at work on it; end it first: cxr cloud cancel {users[0]}" if users else "",
        )


def _objects(
    connection: Connection,
    found: Found,
    scope: Scope,
    *,
    keep_models: bool,
    images: ImageChoice | None,
) -> Iterable[Leftover]:
    bucket = find_bucket(connection.bucket, endpoint=connection.endpoint, project=connection.project)
    if bucket.location is None:
        return
    running = {run for run, _ in found.running()}
    manifests = _manifests_of(scope, found)
    store = connection.store()
    for (folder, run), listed in _run_folders(connection, scope).items():
        kept = f"{run} has not ended; end it first: cxr cloud cancel {run}" if run in running else ""
        going = [one for one in listed if not (keep_models and folder == "jobs" and _MODEL_FILES.match(one.name))]
        detail = "" if len(going) == len(listed) else f"{len(listed) - len(going):,} of the model stay"
        if going:
            url, partial = f"{connection.base_url}/{folder}/{run}", len(going) < len(listed)
            yield _folder(url, run, going, bucket.location, kept, detail, partial=partial)
    files = [info for info in store.list("import/") if _is_import_file(info.name, scope, manifests)]
    if files:
        at_work = any(run.startswith(f"{JobKind.IMPORT}-") for run in running)
        kept = "an import is at work" if at_work else ""
        going = [replace(info, name=info.name.removeprefix("import/")) for info in files]
        yield _folder(f"{connection.base_url}/import", "", going, bucket.location, kept, "import files")
    if images is not None:
        yield from _images(connection, bucket.location, images, scope, at_work=bool(running))


def _run_folders(connection: Connection, scope: Scope) -> dict[tuple[str, str], list[ObjectInfo]]:
    """The objects of each run's folder, named relative to it. A folder whose name is no run's is left alone."""
    store = connection.store()
    found: dict[tuple[str, str], list[ObjectInfo]] = {}
    for folder in RUN_FOLDERS:
        prefixes = [f"{folder}/"] if scope.everything else [f"{folder}/{run}/" for run in sorted(scope.runs)]
        for prefix in prefixes:
            for info in store.list(prefix):
                _, run, *rest = info.name.split("/", 2)
                if rest and _RUN.fullmatch(run):
                    found.setdefault((folder, run), []).append(replace(info, name=rest[0]))
    return found


def _images(
    connection: Connection, location: str, images: ImageChoice, scope: Scope, *, at_work: bool
) -> Iterable[Leftover]:
    stored = connection.store("images").list()
    going = [info for info in stored if images.paths is None or info.name in images.paths]
    kept = "jobs are at work, perhaps on these images" if at_work else ""
    if going:
        detail = "the images themselves"
        yield _folder(f"{connection.base_url}/images", "", going, location, kept, detail, partial=True)
    store = connection.store()
    beside = [info for info in store.list("manifest.") if info.name in {"manifest.csv", "manifest.json"}]
    if beside and (scope.everything or _header_is_of(store, scope.manifest)):
        yield _folder(connection.base_url, "", beside, location, kept, "the manifest beside the images", partial=True)


def _header_is_of(store: RetryingStore, manifest: str) -> bool:
    try:
        return str(json.loads(store.get_bytes("manifest.json"))["content_hash"]).startswith(manifest)
    except (NotFound, ValueError, KeyError, TypeError):
        return False


def _folder(
    url: str, run: str, objects: list[ObjectInfo], location: str, kept: str, detail: str, *, partial: bool = False
) -> Leftover:
    size = sum(info.size for info in objects)
    price = storage_price(size, location)
    words = f"{len(objects):,} objects{f' ({detail})' if detail else ''}"
    return Leftover(
        Sort.OBJECTS,
        url,
        run,
        detail=words,
        kept=kept,
        size=size,
        usd_per_month=price.usd,
        basis=price.basis,
        objects=tuple(objects),
        partial=partial,
    )


def _listed(connection: Connection, client: Callable[[Connection], Any], what: str) -> list[Any]:
    """The resources that carry one of cxr's labels."""
    found: dict[str, Any] = {}
    for label in _LABELS:
        with google_errors(f"list the {what}"):
            request = {"parent": connection.parent, "filter": f"labels.{label}:*", "page_size": 100}
            listed = getattr(client(connection), f"list_{what}")(request=request, timeout=REQUEST_TIMEOUT_S)
            found |= {str(one.name): one for one in listed}
    return list(found.values())


def _notes(connection: Connection, leftovers: list[Leftover]) -> tuple[str, ...]:
    notes = ["datasets, jobs and models that are not deployed cost nothing by themselves"]
    if any(one.sort is Sort.OBJECTS for one in leftovers):
        notes.append(
            f"where gs://{connection.bucket} keeps deleted objects (soft delete, 7 days unless changed), they are "
            "billed until then"
        )
    notes += sorted({one.basis for one in leftovers if one.basis})
    return tuple(notes)


def _runs_of_manifest(scope: Scope, found: Found) -> frozenset[str]:
    return frozenset(_runs_with(scope.manifest, found)) if scope.manifest else frozenset()


def _runs_with(manifest: str, found: Found) -> set[str]:
    """Runs of a manifest (its label) that are there: in the journal and not cleaned up, or on the service."""
    if not manifest:
        return set()
    known = {
        job.id
        for job in found.journal
        if job.manifest_hash.startswith(manifest) and not job.cleaned and job.kind is not JobKind.IMPORT
    }
    return known | {_run_of(seen) for _, seen in found.jobs if seen.labels.get(MANIFEST_LABEL) == manifest}


def _manifests_of(scope: Scope, found: Found) -> set[str]:
    """The labels of the manifests whose last runs are in scope: their datasets and import files go too."""
    if scope.manifest:
        return {scope.manifest}
    labels = {seen.labels.get(MANIFEST_LABEL, "") for _, seen in found.jobs if _run_of(seen) in scope.runs}
    labels |= {job.manifest_hash[:32] for job in found.journal if job.id in scope.runs}
    return {label for label in labels if label and not _runs_with(label, found) - scope.runs}


def _run_of(seen: Seen) -> str:
    return seen.labels.get(RUN_LABEL, "")


def _is_import_file(name: str, scope: Scope, manifests: set[str]) -> bool:
    match = _IMPORT_FILE.fullmatch(name.removeprefix("import/"))
    return match is not None and (scope.everything or any(one.startswith(match.group(1)) for one in manifests))


def _is_here(job: Job, connection: Connection) -> bool:
    return (job.on, job.project, job.region) == (connection.on, connection.project, connection.region)


def _tail(resource: str) -> str:
    # Without the project, which the service writes as a number.
    return "/".join(resource.split("/")[4:])
