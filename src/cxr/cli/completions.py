"""What the shell offers for values: recipes, places, formats, jobs. Asked only while somebody presses Tab."""

from __future__ import annotations

from cxr.errors import CxrError
from cxr.settings import Target, load_settings


def targets(incomplete: str) -> list[str]:
    """What --on takes."""
    return [str(one) for one in Target if one.startswith(incomplete)]


def recipe_names(incomplete: str) -> list[str]:
    """The recipes; a file of the user's own is completed by the shell."""
    from cxr.local_baseline.recipes.registry import RECIPES

    return [name for name in RECIPES if name.startswith(incomplete)]


def export_formats(incomplete: str) -> list[str]:
    """Formats by commas: the last of them is completed."""
    from cxr.local_baseline.exports.registry import FORMATS

    before, comma, last = incomplete.rpartition(",")
    return [f"{before}{comma}{name}" for name in ("all", *FORMATS) if name.startswith(last)]


def job_ids(incomplete: str) -> list[str]:
    """The jobs of this folder's journal, the newest first; none when it cannot be read."""
    from cxr.cloud.jobs.journal import Journal

    try:
        jobs = Journal(load_settings().journal_path).jobs()
    except (CxrError, OSError):
        return []
    return [job.id for job in reversed(jobs) if job.id.startswith(incomplete)]


def export_commands(incomplete: str) -> list[str]:
    """What stands where a bundle stands, too; folders are completed by the shell."""
    return [name for name in ("verify", "import") if name.startswith(incomplete)]


def compare_commands(incomplete: str) -> list[str]:
    """The same behind `cxr compare`."""
    return [name for name in ("import", "lint") if name.startswith(incomplete)]
