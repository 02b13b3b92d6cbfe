"""What `upload` and `download` share: the options of a transfer, and how its end is told."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from cxr.cli.cloud.common import open_connection
from cxr.cli.out import Out
from cxr.cli.transfer_line import transfer_line
from cxr.errors import CxrError, Unreachable, UsageError

if TYPE_CHECKING:
    from cxr.cloud.uploading import Destination
    from cxr.settings import Settings
    from cxr.storage.transfer.files import Outcome
    from cxr.storage.transfer.haul import Haul

Workers = Annotated[
    int | None,
    typer.Option("--workers", min=1, max=256, help="Files moved at the same time [default: by their sizes, 8 to 128]."),
]
MaxRate = Annotated[str | None, typer.Option("--max-rate", help="Bytes a second at most, such as 500K or 10M.")]
RetryFor = Annotated[
    float, typer.Option("--retry-for", min=0, help="Seconds for which what fails for now is tried again.")
]
StallTimeout = Annotated[
    float, typer.Option("--stall-timeout", min=0.1, help="Seconds of silence after which a request is tried again.")
]

DEFAULT_RETRY_S: Final = 120.0
DEFAULT_STALL_S: Final = 60.0
#: Names of missing files that are shown; --json has more.
_SHOWN: Final = 10
#: How often, in seconds, an outage is told of.
_OUTAGE_PAUSE_S: Final = 10.0
_IN_JSON: Final = 10_000
#: `gs:/bucket`: somebody meant a URL.
_HALF_A_URL = re.compile(r"(?:gs|gcs|s3|s3a|file):(?!//)")
_RATE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMG]?)(?:i?B)?(?:/s)?", re.IGNORECASE)
_UNITS: Final = {"": 1.0, "K": 1e3, "M": 1e6, "G": 1e9}


def parse_rate(text: str | None) -> float | None:
    """Bytes a second of `500K`, `10M`, `1.5MB/s`. Raises UsageError."""
    if text is None:
        return None
    found = _RATE.fullmatch(text.strip())
    rate = float(found[1]) * _UNITS[found[2].upper()] if found else 0.0
    if rate <= 0:
        raise UsageError(f"--max-rate {text!r} is not a rate", hint="a number with K, M or G, such as 10M")
    return rate


@dataclass(frozen=True, slots=True)
class TransferFlags:
    """The flags of a transfer as given; `retry_for` and `stall_timeout` are seconds."""

    workers: int | None
    max_rate: str | None
    retry_for: float
    stall_timeout: float

    @contextmanager
    def hauling(self, out: Out, description: str, state_dir: Path) -> Iterator[Haul]:
        """A transfer with its status line. Raises UsageError when --max-rate is not a rate."""
        from cxr.storage.transfer.haul import Haul, HaulOptions

        rate = parse_rate(self.max_rate)
        options = HaulOptions(self.workers, rate, self.retry_for, self.stall_timeout, state_dir / "uploads")
        with transfer_line(out, description) as tell:
            yield Haul(options, tell, _outage_teller(out))

    def command(self) -> str:
        """The flags that differ from the defaults, to be given again."""
        given = [
            f"--workers {self.workers}" if self.workers else "",
            f"--max-rate {shlex.quote(self.max_rate)}" if self.max_rate else "",
            f"--retry-for {self.retry_for:g}" if self.retry_for != DEFAULT_RETRY_S else "",
            f"--stall-timeout {self.stall_timeout:g}" if self.stall_timeout != DEFAULT_STALL_S else "",
        ]
        return "".join(f" {flag}" for flag in given if flag)


def open_destination(url: str | None, settings: Settings, haul: Haul, out: Out) -> Destination:
    """What --to or --from names (None: the bucket and prefix of the settings).

    Raises UsageError for what is no URL of a bucket and no folder.
    """
    from cxr.cloud.providers import provider_of
    from cxr.cloud.uploading import Destination, destination_of
    from cxr.storage import open_store

    if url is None:
        return destination_of(open_connection(settings, out), haul)
    kind, _, rest = url.partition("://")
    if not url.strip() or (kind in {"gs", "s3"} and not rest.strip("/")) or _HALF_A_URL.match(url):
        raise UsageError(f"{url!r} is no place", hint="use gs://bucket/prefix, s3://bucket/prefix or a folder")
    if kind == provider_of(settings.on).scheme:
        bucket, _, prefix = rest.partition("/")
        return destination_of(open_connection(replace(settings, bucket=bucket, prefix=prefix), out), haul)
    place = url if set(url) == {"/"} else url.rstrip("/")
    store = open_store(place, workers=haul.width, limits=haul.limits, retrier=haul.retrier, sessions=haul.sessions)
    return Destination(store.url, store, haul)


def _outage_teller(out: Out) -> Callable[[CxrError, float], None]:
    said = -_OUTAGE_PAUSE_S

    def tell(error: CxrError, seconds: float) -> None:
        nonlocal said
        if time.monotonic() - said >= _OUTAGE_PAUSE_S:
            said = time.monotonic()
            out.say(f"{error.message}: trying again for {max(seconds, 0):.0f} s more")

    return tell


def tell_end(
    out: Out, kind: str, payload: Mapping[str, Any], outcome: Outcome | None, *, done: str, go_on: str
) -> None:
    """Print the summary; then raise what the transfer failed by, if it did, with the command to go on as the hint."""
    if outcome is None:
        out.result(kind, payload)
        return
    tally, missing = outcome.tally, outcome.missing
    out.result(
        kind,
        {
            **payload,
            f"{done}_files": tally.files,
            f"{done}_bytes": tally.size,
            "moved_bytes": tally.moved,
            "seconds": round(outcome.seconds, 3),
            "retries": tally.retries,
            "interrupted": outcome.interrupted,
            "missing_files": len(missing),
            "missing": missing[:_IN_JSON],
            "afterwards": [{"name": late.name, "error": late.error.message} for late in outcome.afterwards[:_IN_JSON]],
        },
    )
    if outcome.complete:
        return
    if missing:
        _tell_missing(out, outcome, missing)
    outcome.require_complete(done, hint=f"{go_on} (goes on with what is missing)")


def _tell_missing(out: Out, outcome: Outcome, missing: list[str]) -> None:
    out.warn(f"{len(missing):,} files are missing:")
    # What was out of reach is told once, at the end.
    failed = [failure for failure in outcome.failures if not isinstance(failure.error, Unreachable)]
    reasons = {failure.name: failure.error.message for failure in failed}
    for name in missing[:_SHOWN]:
        out.warn(f"  {name}" + (f": {reasons[name]}" if name in reasons else ""))
    if len(missing) > _SHOWN:
        out.warn(f"  … and {len(missing) - _SHOWN:,} more (--json names them)")


def figures(outcome: Outcome) -> str:
    """`6,000 files, 1,200.0 MB in 8.1 s (148.1 MB/s, 2 retries)`."""
    tally, seconds = outcome.tally, max(outcome.seconds, 1e-3)
    retries = f", {tally.retries:,} retries" if tally.retries else ""
    rate = f"{tally.size / seconds / 1e6:,.1f} MB/s"
    return f"{tally.files:,} files, {tally.size / 1e6:,.1f} MB in {seconds:,.1f} s ({rate}{retries})"
