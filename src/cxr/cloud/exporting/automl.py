"""An AutoML model as one bundle: every wanted format, one list of classes, one contract for each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cxr.bundle import BundleInfo, ModelFormat, Origin, Threshold, write_bundle
from cxr.cloud.connection import Connection
from cxr.cloud.exporting.artefacts import Artefact, collect
from cxr.cloud.exporting.cost import cost_of
from cxr.cloud.exporting.formats import ExportFormat, preprocessing_of, scored_format
from cxr.cloud.exporting.labels import agreed_labels
from cxr.cloud.exporting.provenance import job_provenance
from cxr.cloud.exporting.records import ExportRecords
from cxr.cloud.exporting.structure import broken, check_structure, model_file
from cxr.cloud.exporting.verification import Scorer, Verification, verify_formats
from cxr.cloud.jobs.journal import Job
from cxr.cloud.plans.launch import manifest_label
from cxr.cloud.vertex.models import ServiceModel, get_model
from cxr.cloud.vertex.pipelines import model_of
from cxr.errors import InputError, MissingPackage, RulerMismatch
from cxr.importing.labels import Labels, labels_in_files
from cxr.labels import positive_class, task_of
from cxr.progress import Progress, silent
from cxr.storage.transfer.download import download_all
from cxr.version import __version__

if TYPE_CHECKING:
    from cxr.cloud.exporting.bringing import ExportOptions

#: The label that the emulator puts on models which Google's AutoML did not train.
STAND_IN_LABEL = ("cxr-emulator", "stand-in")
#: What models trained by the service take for a finding, unless somebody chooses another value.
SERVICE_THRESHOLD = Threshold(0.5, chosen_by="the service's default", chosen_on="nothing")


def is_stand_in(model: ServiceModel) -> bool:
    """Whether the emulator's program made this model, not Google's AutoML."""
    return model.labels.get(STAND_IN_LABEL[0]) == STAND_IN_LABEL[1]


def check_model_manifest(model: ServiceModel, manifest_hash: str) -> None:
    """Raises RulerMismatch when the model's own label names another manifest."""
    label = model.labels.get("cxr-manifest", "")
    if label and label != manifest_label(manifest_hash):
        raise RulerMismatch(
            f"the model {model.display_name} was trained on the manifest {label[:16]}, not on {manifest_hash[:16]}",
            hint="name the manifest that it was trained on: --manifest",
        )


def automl_bundle(
    connection: Connection,
    job: Job,
    folder: Path,
    options: ExportOptions,
    manifest_hash: str,
    on_progress: Progress,
    say: Callable[[str], None],
) -> tuple[Verification, ...]:
    """Export, download and verify into `folder`, then write bundle.json. Raises what `collect` and the checks raise."""
    model = get_model(connection, model_of(connection, job))
    check_model_manifest(model, manifest_hash)
    formats = options.formats
    steps = len(formats) + 2
    on_progress(0, steps, "exporting")
    records = ExportRecords(options.records, job.id)
    destination = f"{connection.base_url}/exports/{job.id}"
    artefacts = collect(connection, model, formats, destination, records, again=options.again, say=say)
    for number, artefact in enumerate(artefacts, 1):
        on_progress(number, steps, f"fetching {artefact.format.name}")
        _fetch(connection, artefact, folder / artefact.format.name)
    on_progress(steps - 1, steps, "checking")
    classes = _classes(folder, formats, options.scorer)
    structure = {one.name: check_structure(folder / one.name, one, len(classes)) for one in formats}
    info = bundle_info(model, folder, formats, classes, manifest_hash)
    verified = verify_formats(folder, info, formats, structure, options.scorer)
    provenance: dict[str, Any] = {
        **_provenance(job, model, artefacts),
        "verification": {one.format: one.as_json() for one in verified},
    }
    write_bundle(folder, replace(info, provenance=provenance, cost=cost_of(connection, job)))
    on_progress(steps, steps, "")
    return verified


def _fetch(connection: Connection, artefact: Artefact, folder: Path) -> None:
    files = download_all(connection.open(artefact.url), folder, on_progress=silent)
    if not files:
        raise broken(artefact.format, f"{artefact.url} is empty")


def _classes(folder: Path, formats: tuple[ExportFormat, ...], scorer: Scorer) -> Labels:
    """The labels in the order of the outputs, which every format must agree on."""
    found: dict[str, Labels] = {}
    missing: MissingPackage | None = None
    for one in formats:
        found |= labels_in_files(folder / one.name)
        if one.scored_as is ModelFormat.SAVED_MODEL:
            try:
                found[f"{one.name}'s output"] = scorer.labels(model_file(folder / one.name, one))
            except MissingPackage as error:
                missing = error
            except InputError as error:
                raise broken(one, error.message) from error
    if not found and missing:
        raise missing
    return agreed_labels(found)


def bundle_info(
    model: ServiceModel, folder: Path, formats: tuple[ExportFormat, ...], classes: Labels, manifest_hash: str
) -> BundleInfo:
    """What the bundle says of the exported files in `folder`, whose outputs are in the order of `classes`."""
    scored = scored_format(formats)
    stand_in = is_stand_in(model)
    return BundleInfo(
        name="automl-stand-in" if stand_in else "automl",
        origin=Origin.AUTOML,
        format=scored.scored_as or ModelFormat.TFJS,
        model_path=model_file(folder / scored.name, scored).relative_to(folder).as_posix(),
        classes=classes,
        # In the order of the manifest, so that it is the same whatever the order of the outputs.
        positive_class=positive_class(sorted(classes)),
        task=task_of(classes),
        preprocessing=preprocessing_of(scored),
        threshold=SERVICE_THRESHOLD,
        manifest_hash=manifest_hash,
        stand_in=stand_in,
        versions={"cxr": __version__},
    )


def _provenance(job: Job, model: ServiceModel, artefacts: tuple[Artefact, ...]) -> dict[str, Any]:
    return {
        **job_provenance(job),
        "model": model.resource,
        "export_formats": [one.format.name for one in artefacts],
        "exported_to": {one.format.name: one.url for one in artefacts},
        # What each file wants to be fed; `preprocessing` says what holds for the one that is scored.
        **{one.format.name: dict(one.format.contract) for one in artefacts},
    }
