"""What runs left in the bucket: the folders of runs, import files and, when asked for, the images of a manifest."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from cxr.cloud.cleaning.at_work import RUN
from cxr.cloud.cleaning.found import Hunt
from cxr.cloud.cleaning.leftovers import ImageChoice, Leftover, Scope, Sort
from cxr.cloud.connection import Connection
from cxr.cloud.prices.storage import storage_price
from cxr.documents import parse_json
from cxr.errors import InputError, NotFound
from cxr.storage import ObjectInfo
from cxr.storage.retrying import RetryingStore

#: Folders below the prefix that hold one folder for each run.
RUN_FOLDERS = ("jobs", "exports", "predictions", "builds")
MANIFEST_FILES = ("manifest.csv", "manifest.json")
_IMPORT_FILE = re.compile(r"([0-9a-f]{16})(?:-\d{5}-of-\d{5})?\.(?:jsonl|csv)")
#: Where Vertex AI's jobs have their models, and what SageMaker packs a model into.
_MODEL_FILES = re.compile(r"(?:\d+/)?model/|(?:[^/]+/)*model\.tar\.gz\Z")


def find_objects(hunt: Hunt, *, keep_models: bool, images: ImageChoice | None) -> Iterable[Leftover]:
    """The folders of the runs in scope, and what else of theirs is in the bucket. Nothing where there is no bucket."""
    connection, scope = hunt.connection, hunt.scope
    bucket = connection.provider.find_bucket(connection)
    if bucket.location is None:
        return
    for (folder, run), listed in _run_folders(connection, scope).items():
        going = [one for one in listed if not (keep_models and folder == "jobs" and _MODEL_FILES.match(one.name))]
        detail = "" if len(going) == len(listed) else f"{len(listed) - len(going):,} of the model stay"
        if going:
            url, partial = f"{connection.base_url}/{folder}/{run}", len(going) < len(listed)
            yield _folder(url, going, bucket.location, detail, run=run, partial=partial)
    manifests = hunt.found.manifests_of(scope)
    files = [info for info in connection.store().list("import/") if _is_import_file(info.name, scope, manifests)]
    if files:
        going = [replace(info, name=info.name.removeprefix("import/")) for info in files]
        yield _folder(f"{connection.base_url}/import", going, bucket.location, "import files")
    if images is not None:
        yield from _images(connection, bucket.location, images, scope)


def _run_folders(connection: Connection, scope: Scope) -> dict[tuple[str, str], list[ObjectInfo]]:
    """The objects of each run's folder, named relative to it. A folder whose name is no run's is left alone."""
    store = connection.store()
    found: dict[tuple[str, str], list[ObjectInfo]] = {}
    for folder in RUN_FOLDERS:
        prefixes = [f"{folder}/"] if scope.everything else [f"{folder}/{run}/" for run in sorted(scope.runs)]
        for prefix in prefixes:
            for info in store.list(prefix):
                _, run, *rest = info.name.split("/", 2)
                if rest and RUN.fullmatch(run):
                    found.setdefault((folder, run), []).append(replace(info, name=rest[0]))
    return found


def _images(connection: Connection, location: str, images: ImageChoice, scope: Scope) -> Iterable[Leftover]:
    """The images that a manifest names: what else lies beside them was not uploaded by cxr, and is told and stays."""
    store, stored = connection.store(), list(connection.store("images").list())
    paths, why = (images.paths, "") if images.paths is not None else _paths_in_bucket(store)
    going = [info for info in stored if info.name in paths]
    others = [info for info in stored if info.name not in paths]
    url = f"{connection.base_url}/images"
    if going:
        yield _folder(url, going, location, "the images themselves", partial=True)
    if others and images.paths is None:
        yield _folder(
            url, others, location, f"such as {others[0].name}", kept=why or "not in the manifest", partial=True
        )
    beside = [info for info in store.list("manifest.") if info.name in MANIFEST_FILES]
    if beside and (scope.everything or _header_is_of(store, scope.manifest)):
        words = "the manifest beside the images"
        yield _folder(connection.base_url, beside, location, words, kept=why if stored else "", partial=True)


def _paths_in_bucket(store: RetryingStore) -> tuple[frozenset[str], str]:
    """The paths that the manifest in the bucket names, and why there are none."""
    # The package of manifests loads pandas.
    from cxr.manifests.manifest_file import read_manifest

    try:
        with TemporaryDirectory() as scratch:
            for name in MANIFEST_FILES:
                store.get_file(name, Path(scratch) / name)
            return frozenset(read_manifest(Path(scratch) / MANIFEST_FILES[0]).frame["path"]), ""
    except NotFound:
        return frozenset(), "not in the manifest: there is none in the bucket"
    except InputError:
        return (
            frozenset(),
            "the manifest in the bucket is not whole, and says nothing of them: name one, --manifest FILE",
        )


def _header_is_of(store: RetryingStore, manifest: str) -> bool:
    try:
        return str(parse_json(store.get_bytes("manifest.json"))["content_hash"]).startswith(manifest)
    except (NotFound, ValueError, KeyError, TypeError):
        return False


def _folder(
    url: str,
    objects: list[ObjectInfo],
    location: str,
    detail: str,
    *,
    run: str = "",
    kept: str = "",
    partial: bool = False,
) -> Leftover:
    size = sum(info.size for info in objects)
    price = storage_price(size, location)
    return Leftover(
        Sort.OBJECTS,
        url,
        run,
        detail=f"{len(objects):,} objects{f' ({detail})' if detail else ''}",
        kept=kept,
        size=size,
        usd_per_month=price.usd,
        basis=price.basis,
        objects=tuple(objects),
        partial=partial,
    )


def _is_import_file(name: str, scope: Scope, manifests: set[str]) -> bool:
    match = _IMPORT_FILE.fullmatch(name.removeprefix("import/"))
    return match is not None and (scope.everything or any(one.startswith(match.group(1)) for one in manifests))
