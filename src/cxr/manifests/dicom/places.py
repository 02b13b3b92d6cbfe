"""Where an import reads and writes: what must not lie in what, and what lies beside the pictures."""

from __future__ import annotations

from pathlib import Path

from cxr.errors import UsageError


def beside(out: Path, ending: str) -> Path:
    """`OUT-ending`, beside the folder of pictures: among them, every scan would have to say that it is no picture."""
    place = out if out.name not in ("", "..") else out.resolve()  # `.` and `..` have no name
    return place.with_name(f"{place.name}-{ending}")


def dropped_tags_beside(out: Path) -> Path:
    """Where the table of dropped tags lies when nothing else is said."""
    return beside(out, "dropped-tags.csv")


def record_beside(out: Path) -> Path:
    """Where the record of the imports into `out` lies."""
    return beside(out, "import.jsonl")


def check_places(source: Path, out: Path, salt_file: Path, dropped_tags: Path | None = None) -> None:
    """Raises UsageError when one of the four lies where it would get into another, or would be written over."""
    here, there, salt = source.resolve(), out.resolve(), salt_file.resolve()
    table = (dropped_tags or dropped_tags_beside(out)).resolve()
    if here.is_relative_to(there) or there.is_relative_to(here):
        raise UsageError(f"{out} and {source} lie in each other", hint="name an --out beside the DICOM files")
    if salt.is_relative_to(there):
        raise UsageError(
            f"the salt file {salt_file} would lie among the images, and leads from keys back to patients",
            hint="keep it elsewhere: --salt-file FILE",
        )
    if salt.is_relative_to(here):
        raise UsageError(
            f"the salt file {salt_file} would lie among the DICOM files: who gets them gets the keys as well",
            hint="keep it elsewhere: --salt-file FILE",
        )
    record = record_beside(out)
    if _same(record.resolve(), salt):
        raise UsageError(f"{record} is the record of the import, not a salt", hint="name another --salt-file")
    if _same(table, salt) or _same(table, record.resolve()):
        raise UsageError(f"the table of tags would overwrite {table}", hint="name another --dropped-tags FILE")
    if table.is_relative_to(here) or table.is_relative_to(there):
        raise UsageError(
            f"the table of tags {table} would lie among the images", hint="name a --dropped-tags FILE elsewhere"
        )


def _same(one: Path, other: Path) -> bool:
    # The same file under two names, too: a hard link, or letters of another case on some disks.
    return one == other or (one.exists() and other.exists() and one.samefile(other))
