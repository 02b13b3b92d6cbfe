"""The service's dataset of one manifest: found by its label, or made and filled from an import file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cxr.cloud.connection import Connection
from cxr.cloud.jobs.journal import Journal
from cxr.cloud.jobs.waiting import ask
from cxr.cloud.plans.launch import PLACE_LABEL, manifest_label, place_label
from cxr.cloud.uploading import check_uploaded
from cxr.cloud.vertex.clients import REQUEST_TIMEOUT_S, dataset_client
from cxr.cloud.vertex.imports import import_id, run_import
from cxr.cloud.vertex.long_running import wait_for_operation
from cxr.errors import CheckFailed, InputError
from cxr.locks import only_one
from cxr.manifests.import_files import plan_import
from cxr.manifests.manifest import Manifest
from cxr.storage.google.errors import google_errors, polling_errors

#: https://cloud.google.com/vertex-ai/docs/image-data/classification/prepare-data
MAX_IMAGES = 1_000_000
METADATA_SCHEMA = "gs://google-cloud-aiplatform/schema/dataset/metadata/image_1.0.0.yaml"


@dataclass(frozen=True, slots=True)
class DatasetState:
    """A dataset on the service: resource name, images in it, and what the last import could not take."""

    resource: str
    items: int
    expected_items: int
    partial_failures: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether every distinct image of the manifest is in it."""
        return self.items >= self.expected_items


def find_dataset(connection: Connection, manifest: Manifest) -> DatasetState | None:
    """The newest dataset that carries this manifest's label, if any. One of another bucket or prefix is not taken: its
    images are there, and are deleted there."""
    client = dataset_client(connection)
    with polling_errors("list the datasets"):
        found = client.list_datasets(
            request={
                "parent": connection.parent,
                "filter": f'labels.cxr-manifest="{manifest_label(manifest.hash)}"',
            },
            timeout=REQUEST_TIMEOUT_S,
        )
        place = place_label(connection)
        ours = [dataset for dataset in found if dataset.labels.get(PLACE_LABEL, place) == place]
        datasets = sorted(ours, key=lambda dataset: dataset.create_time, reverse=True)
    expected = expected_items(manifest)
    return DatasetState(datasets[0].name, int(datasets[0].data_item_count), expected) if datasets else None


def expected_items(manifest: Manifest) -> int:
    """Images that the service will keep: rows in a split, of equal bytes only the first. A manifest that was made from
    a listing has no sha256; there the md5 tells, or size and crc32c."""
    used = manifest.frame[manifest.frame["split"] != ""]
    told = used["sha256"].where(used["sha256"] != "", used["md5"])
    return int(told.where(told != "", used["size"].astype(str) + ":" + used["crc32c"]).nunique())


def check_labels(connection: Connection, manifest: Manifest) -> None:
    """Raises InputError, naming a legal spelling, for a label that the service refuses, and for more images than a
    dataset takes; nothing is asked of it."""
    plan_import(manifest, connection.images_url)
    if (images := expected_items(manifest)) > MAX_IMAGES:
        raise InputError(
            f"{images:,} images; a Vertex AI dataset takes {MAX_IMAGES:,}",
            hint="train without a dataset, from the bucket: cxr cloud train custom; or split the data into several",
        )


def dataset_display_name(manifest: Manifest) -> str:
    """The name that a manifest's dataset is made with."""
    return f"cxr-{manifest_label(manifest.hash)[:12]}"


def ensure_dataset(
    connection: Connection,
    journal: Journal,
    manifest: Manifest,
    *,
    on_step: Callable[[str], None],
    is_uploaded: bool = False,
) -> DatasetState:
    """Find the manifest's dataset, or make and fill it. An import that is still at work (an earlier run was closed) is
    waited for; a dataset left half-filled is filled. `is_uploaded`: the caller has just looked whether the images are
    in the bucket, which of a million is a listing of a thousand pages.

    Two processes of one folder wait for each other. Raises InputError when an image was not uploaded; partial failures
    of the import are in the answer.
    """
    with only_one(journal.path.parent, import_id(connection, manifest)):
        # Every step of it finds what an earlier try has done. (A dataset whose making was begun, but is not listed yet,
        # would be made twice: empty ones cost nothing, and `cxr cloud clean` finds both by their label.)
        return ask(lambda: _ensure(connection, journal, manifest, on_step, is_uploaded=is_uploaded))


def _ensure(
    connection: Connection,
    journal: Journal,
    manifest: Manifest,
    on_step: Callable[[str], None],
    *,
    is_uploaded: bool,
) -> DatasetState:
    state = find_dataset(connection, manifest)
    if state and state.complete:
        return state
    check_labels(connection, manifest)
    if not is_uploaded:
        check_uploaded(connection, manifest)
    if state is None:
        on_step("making the dataset")
        state = DatasetState(_create(connection, manifest), 0, expected_items(manifest))
    on_step(f"importing {expected_items(manifest):,} images")
    resource, wanted = state.resource, state.expected_items

    def filled() -> bool:
        return _items(connection, resource) >= wanted

    failures = run_import(connection, journal, manifest, resource, filled=filled, on_step=on_step)
    return DatasetState(resource, _items(connection, resource), wanted, failures)


def _items(connection: Connection, resource: str) -> int:
    with polling_errors("read the dataset"):
        dataset = dataset_client(connection).get_dataset(name=resource, timeout=REQUEST_TIMEOUT_S)
    return int(dataset.data_item_count)


def check_complete(state: DatasetState) -> None:
    """Raises CheckFailed when images are missing in the dataset: a paid training would not see them."""
    if not state.complete:
        first = f", the first because: {state.partial_failures[0]}" if state.partial_failures else ""
        raise CheckFailed(
            f"{state.items:,} of {state.expected_items:,} images were imported{first}",
            hint="mend those and import again: cxr cloud upload, cxr cloud dataset; or go on with --allow-partial",
        )


def _create(connection: Connection, manifest: Manifest) -> str:
    client = dataset_client(connection)
    label = manifest_label(manifest.hash)
    with google_errors("create a dataset"):
        operation = client.create_dataset(
            request={
                "parent": connection.parent,
                "dataset": {
                    "display_name": dataset_display_name(manifest),
                    "metadata_schema_uri": METADATA_SCHEMA,
                    "labels": {
                        "cxr-run": import_id(connection, manifest),
                        "cxr-manifest": label,
                        PLACE_LABEL: place_label(connection),
                    },
                },
            },
            timeout=REQUEST_TIMEOUT_S,
        )
    return str(wait_for_operation(operation, "create a dataset").name)
