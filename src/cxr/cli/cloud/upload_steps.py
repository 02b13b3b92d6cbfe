"""The steps of `cxr cloud upload`: plan, show, ask, send, tell."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from cxr.cli.cloud.check import check_upload
from cxr.cli.cloud.common import CloudFlags, show_plan
from cxr.cli.cloud.transfers import TransferFlags, figures, open_destination, tell_end
from cxr.cli.out import Out
from cxr.cloud.providers import provider_of
from cxr.cloud.uploading import (
    IMAGES,
    Destination,
    ManifestUpload,
    check_images,
    plan_manifest_upload,
    send_manifest,
)
from cxr.errors import CheckFailed, UsageError
from cxr.manifests.manifest import Manifest
from cxr.manifests.manifest_file import read_manifest
from cxr.storage.transfer.plan_file import PlanFile, read_plan
from cxr.storage.transfer.saved import check_same, check_still_true

_SHOWN_ORPHANS: Final = 3


@dataclass(frozen=True, slots=True)
class UploadWishes:
    """What the command line asks of an upload."""

    manifest: Path
    images: Path | None
    to: str | None
    dry_run: bool
    plan: Path | None
    apply: Path | None
    delete_orphans: bool
    yes: bool

    def command(self, flags: CloudFlags, transfer: TransferFlags) -> str:
        """The command line that goes on where this one stopped."""
        parts = [f"--manifest {shlex.quote(str(self.manifest))}"]
        parts += [f"--images {shlex.quote(str(self.images))}"] if self.images else []
        parts += [f"--to {shlex.quote(self.to)}"] if self.to else []
        parts += [f"--apply {shlex.quote(str(self.apply))}"] if self.apply else []
        parts += ["--delete-orphans"] if self.delete_orphans and not self.apply else []
        return flags.command(f"cxr cloud upload {' '.join(parts)}") + transfer.command()


def run_upload(out: Out, flags: CloudFlags, transfer: TransferFlags, wishes: UploadWishes) -> None:
    """Raises what stopped the upload, after the summary has been printed."""
    if wishes.plan and wishes.apply:
        raise UsageError("--plan saves a plan and --apply carries one out", hint="give one of the two")
    manifest = read_manifest(wishes.manifest)
    check_images(manifest, wishes.images)
    settings, again = flags.settings(), wishes.command(flags, transfer)
    scheme = f"{provider_of(settings.on).scheme}://"
    if wishes.to is not None and wishes.to.startswith(scheme):
        bucket, _, prefix = wishes.to.removeprefix(scheme).partition("/")
        flags = replace(flags, bucket=bucket, prefix=prefix)  # for the next command, which has no --to
    saved = read_plan(wishes.apply) if wishes.apply else None
    with TemporaryDirectory(prefix="cxr-plan-") as scratch:
        outcome = None
        with transfer.hauling(out, "uploading", settings.state_dir) as haul:
            destination = open_destination(wishes.to, settings, haul, out)
            if destination.connection:
                check_upload(destination.connection, haul)
            _refuse_overlap(destination, wishes.images or manifest.root)
            made = _plan(out, destination, manifest, wishes.images, Path(scratch) / "plan.jsonl")
            remove = _whether_to_remove(made, wishes.delete_orphans, saved)
            show_plan(out, f"upload of {len(manifest.frame):,} images", made.rows(delete_orphans=remove))
            _remark(out, made)
            if wishes.plan:
                made.files.save(wishes.plan, delete_orphans=remove)
                out.say(f"saved; nothing was sent. Carry it out: {again} --apply {shlex.quote(str(wishes.plan))}")
            elif not wishes.dry_run:
                _ask(out, made, remove=remove, yes=wishes.yes)
                outcome = send_manifest(made, remove_orphans=remove)
        deleted = outcome.deleted if outcome else 0
        payload = {**made.as_json(), "sent": outcome is not None, "deleted": deleted}
        tell_end(out, "cloud.upload", payload, outcome, done="sent", go_on=again)
    if outcome is not None:
        out.say("nothing to send: all is there" if made.nothing_to_send else f"uploaded {figures(outcome)}")
        if made.destination.connection:
            out.hint(flags.command(f"cxr cloud train automl --manifest {shlex.quote(str(wishes.manifest))}"))


def _plan(out: Out, destination: Destination, manifest: Manifest, images: Path | None, path: Path) -> ManifestUpload:
    expected = len(manifest.frame)
    with out.progress("listing") as advance:
        on_objects: Callable[[int], None] = lambda count: advance(count, max(count, expected), "")  # noqa: E731
        return plan_manifest_upload(destination, manifest, path, images=images, on_objects=on_objects)


def _refuse_overlap(destination: Destination, root: Path) -> None:
    """A folder that is filled from itself would lose files as its own orphans."""
    if "://" in destination.url:
        return
    source, target = root.resolve(), Path(destination.url, IMAGES).resolve()
    if source == target or source in target.parents or target in source.parents:
        raise UsageError(
            f"the images of {destination.url} would lie within {root}, or the other way round",
            hint="send them to a folder of its own",
        )


def _whether_to_remove(made: ManifestUpload, wanted: bool, saved: PlanFile | None) -> bool:
    """Whether orphans are to be deleted: as the flag says, or as the saved plan says, which must still be true."""
    if saved is None:
        return wanted
    check_same(saved, made.files, "where", "destination", "manifest")
    check_still_true(saved, made.files)
    parts = saved.header.get("manifest_parts")
    versions = parts if isinstance(parts, dict) else {}
    for part in made.parts:
        if not part.there and part.version != versions.get(part.name):
            raise CheckFailed(
                f"{made.destination.url} has changed since {saved.path} was made: {part.name} is another version",
                hint="look at it anew: --dry-run --plan FILE",
            )
    agreed = bool(saved.header.get("delete_orphans"))
    if wanted and not agreed:
        raise UsageError(
            f"{saved.path} deletes nothing", hint="save a plan with --delete-orphans --plan FILE, and look at it"
        )
    return agreed


def _remark(out: Out, made: ManifestUpload) -> None:
    for warning in made.warnings:
        out.warn(warning)
    names = made.orphan_names(_SHOWN_ORPHANS)
    if names:
        more = made.totals.orphan.files - len(names)
        out.say(f"orphans: {', '.join(names)}" + (f" and {more:,} more (--plan FILE names them all)" if more else ""))


def _ask(out: Out, made: ManifestUpload, *, remove: bool, yes: bool) -> None:
    asked = []
    if made.make_bucket and made.destination.connection:
        where = made.destination.connection
        asked.append(f"make the private bucket {where.bucket_url} in {where.region}")
    if not made.nothing_to_send:
        asked.append(f"send {made.totals.to_send.files:,} images and the manifest to {made.destination.url}")
    if remove and made.totals.orphan.files:
        asked.append(f"DELETE {made.totals.orphan.files:,} objects")
    if asked:
        question = ", ".join(asked)
        out.confirm(f"{question[0].upper()}{question[1:]}?", yes=yes)
