"""`cxr data scan`: from a folder or a bucket to a manifest."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cxr.cli.cloud.common import CloudFlags, open_place
from cxr.cli.data.common import manifest_flag, print_counts, summary
from cxr.cli.options import DEFAULT_MANIFEST, Json, On, Project, Quiet, StateDir
from cxr.cli.out import Out
from cxr.errors import Fault, InputError, NotAllowed

if TYPE_CHECKING:
    from cxr.manifests.manifest import Manifest
    from cxr.manifests.scan.record import ScanRecord

#: Problems shown in full before the rest is only counted.
SHOWN_PROBLEMS = 10


@dataclass(frozen=True, slots=True)
class _Request:
    place: str
    out_path: Path
    patient_key: str
    decode: bool
    near_duplicates: bool
    fresh: bool
    flags: CloudFlags


def scan_command(
    place: Annotated[
        str,
        typer.Argument(
            metavar="DIR", help="DIR/<split>/<label>/… or DIR/<label>/…; or gs://bucket/prefix, s3://bucket/prefix."
        ),
    ],
    out_path: Annotated[Path, typer.Option("--out", "-o", help="The manifest to write.")] = DEFAULT_MANIFEST,
    patient_key: Annotated[
        str,
        typer.Option(
            "--patient-key",
            help="How to tell patients: etiology+number, number, folder, csv:FILE#COLUMN or regex:EXPR.",
        ),
    ] = "etiology+number",
    no_decode: Annotated[bool, typer.Option("--no-decode", help="Look at headers only: torn images pass.")] = False,
    no_near_duplicates: Annotated[
        bool, typer.Option("--no-near-duplicates", help="Look for byte-identical images only.")
    ] = False,
    drop_duplicates: Annotated[
        bool, typer.Option("--drop-duplicates", help="Keep one image of each duplicate group, the first by name.")
    ] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Read every file again, and keep no split of an earlier manifest.")
    ] = False,
    on: On = None,
    project: Project = None,
    state_dir: StateDir = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Read every image of a folder once and write a manifest. A bucket is listed, not read.

    What a scan saw is kept beside the manifest (manifest.scan.csv, safe to delete): the next one reads only what
    changed. A split made with `cxr data split` is kept, and new images are assigned by the same policy.

    Example: cxr data scan chest_xray --out manifest.csv
    """
    from cxr.manifests.duplicates.same import drop_duplicates as without_duplicates
    from cxr.manifests.manifest_file import check_name, write_manifest

    out = Out(as_json, quiet)
    check_name(out_path)
    flags = CloudFlags(on=on, project=project, state_dir=state_dir)
    request = _Request(place, out_path, patient_key, not no_decode, not no_near_duplicates, fresh, flags)
    earlier = None if fresh else _earlier_split(out_path)
    manifest, reused = _scan(request, out)
    found = len(manifest.frame)
    if drop_duplicates:
        manifest = without_duplicates(manifest)
    dropped = found - len(manifest.frame)
    manifest, keeping = _keep_split(manifest, earlier, out)
    manifest = write_manifest(manifest, out_path)
    _tell(manifest, out_path, {"reused": reused, "dropped": dropped, **keeping}, out)


def _tell(manifest: Manifest, out_path: Path, told: dict[str, object], out: Out) -> None:
    print_counts(out, manifest)
    _say_problems(manifest, out_path, out)
    problems = [asdict(problem) for problem in manifest.header.problems]
    out.result("data.scan", {**summary(manifest), **told, "problems": problems})
    if told["dropped"]:
        out.say(f"{told['dropped']:,} duplicates were left out; their paths are in {out_path.with_suffix('.json')}")
    out.say(f"wrote {out_path} ({manifest.header.images:,} images, hash {manifest.hash[:12]})")
    out.hint(f"cxr data check{manifest_flag(out_path)}")


def _scan(request: _Request, out: Out) -> tuple[Manifest, int]:
    """The manifest, and how many files were not read because the record knew them."""
    if "://" in request.place:
        from cxr.manifests.patients.keys import patient_reader
        from cxr.manifests.scan.listing import scan_listing

        patient_reader(request.patient_key)  # a wrong key is told before the place is opened
        listing = open_place(request.place, request.flags, out)
        with out.progress("list") as advance:
            return scan_listing(listing, patient_key=request.patient_key, on_progress=advance), 0
    from cxr.manifests.scan.folder import scan_with_record
    from cxr.manifests.scan.record import read_record, record_path_of, write_record

    record_path = record_path_of(request.out_path)
    record, why_not = (None, "") if request.fresh else read_record(record_path)
    if why_not:
        out.say(f"every file is read: {why_not}")

    def write(seen: ScanRecord) -> None:
        try:
            write_record(seen, record_path)
        except (NotAllowed, Fault) as error:
            out.say(f"the next scan will read every file: {error.message}")

    with out.progress("scan") as advance:
        done = scan_with_record(
            Path(request.place),
            patient_key=request.patient_key,
            on_progress=advance,
            decode=request.decode,
            near_duplicates=request.near_duplicates,
            earlier=record,
            rescue=write,
        )
    write(done.record)
    if done.reused:
        seen = len(done.record.frame)
        out.say(f"{done.reused:,} of {seen:,} files have not changed since the last scan and were not read again")
    elif record is not None:
        out.say(f"every file is read: {record_path} is of another folder, other options or another cxr, or too young")
    return done.manifest, done.reused


def _earlier_split(out_path: Path) -> Manifest | None:
    """The manifest that is about to be written over, when somebody has made a split in it.

    Raises InputError when it is not one that a scan could make again: what a hand has done must not be lost unsaid.
    """
    from cxr.manifests.manifest_file import read_manifest

    if not out_path.exists():
        return None
    let_go = "choose another --out, or let it go: add --fresh"
    try:
        earlier = read_manifest(out_path)
    except InputError as error:
        raise InputError(
            f"{out_path} would be written over, but its split cannot be kept: {error.message}",
            hint=f"mend it, {let_go}",
        ) from error
    if earlier.header.resealed:
        raise InputError(
            f"{out_path} was edited by hand (accepted {earlier.header.resealed}); a scan would undo that", hint=let_go
        )
    return earlier if earlier.header.split_policy.name != "official" else None


def _keep_split(manifest: Manifest, earlier: Manifest | None, out: Out) -> tuple[Manifest, dict[str, object]]:
    """The manifest under the earlier one's split, and what became of its images, as --json says it."""
    from cxr.manifests.diff import diff_manifests
    from cxr.manifests.splits.split import keep_assignments

    if earlier is None:
        return manifest, {"split_kept": False}
    if not manifest.frame["path"].isin(earlier.frame["path"]).any():
        out.warn("split not kept: the earlier manifest has none of these images")
        return manifest, {"split_kept": False}
    kept = keep_assignments(manifest, earlier)
    found = diff_manifests(earlier, kept)
    moved = sum(found.moves().values())
    policy = earlier.header.split_policy
    words = f"{len(found.added):,} new images assigned"
    words += f", {len(found.removed):,} are gone" if found.removed else ""
    words += f", {len(found.renamed):,} renamed" if found.renamed else ""
    out.say(f"split kept ({policy.name}, seed {policy.seed}): {words}")
    if earlier.header.patient_key != kept.header.patient_key:
        out.warn(
            f"patients are told by {kept.header.patient_key} now, not by {earlier.header.patient_key}: groups changed"
        )
    for (old, new), count in sorted(found.moves().items()):
        out.warn(f"{count:,} images moved from {old or 'unused'} to {new or 'unused'}: their groups or folders changed")
    changes = {"new_images": len(found.added), "gone": len(found.removed), "renamed": len(found.renamed)}
    return kept, {"split_kept": True, **changes, "moved": moved}


def _say_problems(manifest: Manifest, out_path: Path, out: Out) -> None:
    problems = manifest.header.problems
    for problem in problems[:SHOWN_PROBLEMS]:
        out.say(f"{problem.severity}: {problem.path}: {problem.message} [{problem.rule}]")
    if len(problems) > SHOWN_PROBLEMS:
        out.say(f"… and {len(problems) - SHOWN_PROBLEMS:,} more problems; all are in {out_path.with_suffix('.json')}")
