"""What was built from this folder: one small file a build, written before the service is asked."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cxr.cloud.building.plan import BuildPlan
from cxr.documents import parse_json
from cxr.errors import InputError, UsageError
from cxr.files import write_text_atomically
from cxr.settings import Target

SUCCEEDED = "SUCCESS"
WITHOUT_IMAGE = frozenset({"FAILURE", "INTERNAL_ERROR", "TIMEOUT", "CANCELLED", "EXPIRED"})


@dataclass(frozen=True, slots=True)
class BuildRecord:
    """A build as last seen. `resource` is the service's name for it ("" between intent and answer), `digest` that of
    the image (`sha256:…`), `detail` what the service says of its end."""

    id: str
    on: Target
    project: str
    region: str
    bucket: str
    prefix: str
    image: str
    resource: str = ""
    state: str = "INTENDED"
    digest: str = ""
    detail: str = ""
    log_url: str = ""
    created: str = ""
    worst_case_usd: float = 0.0

    @property
    def finished(self) -> bool:
        """Whether its state will not change any more."""
        return self.state == SUCCEEDED or self.state in WITHOUT_IMAGE

    @property
    def started(self) -> bool:
        """Whether the service has it, and it may still give, or has given, an image."""
        return bool(self.resource) and self.state not in WITHOUT_IMAGE

    @property
    def uri(self) -> str:
        """The image by its digest, "" before there is one."""
        return f"{self.image.rpartition(':')[0]}@{self.digest}" if self.digest else ""


class BuildRecords:
    """The builds of one working folder."""

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir
        self._folder = state_dir / "builds"

    def get(self, build_id: str) -> BuildRecord | None:
        """The build of exactly that id, if there is one."""
        path = self._folder / f"{build_id}.json"
        return _read(path) if path.is_file() else None

    def find(self, start: str) -> BuildRecord:
        """The only build whose id starts so (`image-` and at least one character more). Raises UsageError naming those
        there are."""
        known = sorted(path.stem for path in self._folder.glob("image-*.json"))
        begun = [name for name in known if name.startswith(start)] if len(start) > len("image-") else []
        matches = [name for name in begun if name == start] or begun
        if len(matches) == 1:
            return _read(self._folder / f"{matches[0]}.json")
        many = "is not the start of one build only" if matches else "was not started from this folder"
        raise UsageError(f"build {start!r} {many}", hint=f"builds: {', '.join(known) or 'none yet'}")

    def intend(self, plan: BuildPlan) -> BuildRecord:
        """Write down that a build is about to be started."""
        where = plan.connection
        record = BuildRecord(
            id=plan.id,
            on=where.on,
            project=where.project,
            region=where.region,
            bucket=where.bucket,
            prefix=where.prefix,
            image=plan.image,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            worst_case_usd=plan.worst_usd,
        )
        return self.update(record)

    def update(self, record: BuildRecord, **changes: Any) -> BuildRecord:
        """Write the record down with what has changed."""
        record = replace(record, **changes)
        self._folder.mkdir(parents=True, exist_ok=True)
        write_text_atomically(self._folder / f"{record.id}.json", json.dumps(asdict(record), indent=2) + "\n")
        return record


def _read(path: Path) -> BuildRecord:
    try:
        values = parse_json(path.read_text(encoding="utf-8"))
        known = {one.name for one in fields(BuildRecord)}
        kept = {name: value for name, value in values.items() if name in known}
        return BuildRecord(**{**kept, "on": Target(values["on"])})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} cannot be read: {error}", hint="remove that file by hand") from error
