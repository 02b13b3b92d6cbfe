"""The steps of `cxr cloud download`: plan, show, ask when something is replaced or billed, fetch, tell."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from cxr.cli.cloud.common import CloudFlags, show_plan
from cxr.cli.cloud.transfers import TransferFlags, figures, open_destination, tell_end
from cxr.cli.out import Out
from cxr.cloud.downloading import Download, fetch, plan_manifest_download

_SHOWN_NAMES: Final = 3


@dataclass(frozen=True, slots=True)
class DownloadWishes:
    """What the command line asks of a download."""

    folder: Path
    source: str | None
    dry_run: bool
    yes: bool

    def command(self, flags: CloudFlags, transfer: TransferFlags) -> str:
        """The command line that goes on where this one stopped."""
        parts = [shlex.quote(str(self.folder))] + ([f"--from {shlex.quote(self.source)}"] if self.source else [])
        return flags.command(f"cxr cloud download {' '.join(parts)}") + transfer.command()


def run_download(out: Out, flags: CloudFlags, transfer: TransferFlags, wishes: DownloadWishes) -> None:
    """Raises what stopped the download, after the summary has been printed."""
    settings, outcome = flags.settings(), None
    with TemporaryDirectory(prefix="cxr-plan-") as scratch:
        with transfer.hauling(out, "downloading", settings.state_dir) as haul:
            source = open_destination(wishes.source, settings, haul, out)
            made = plan_manifest_download(source, wishes.folder, Path(scratch))
            show_plan(out, f"download of {made.totals.to_send.files:,} files", made.rows())
            if made.skipped:
                shown = ", ".join(made.skipped[:_SHOWN_NAMES])
                out.warn(f"{len(made.skipped):,} objects cannot be files here and are left out: {shown}")
            if not wishes.dry_run:
                _ask(out, made, yes=wishes.yes)
                outcome = fetch(made)
        payload = {**made.as_json(), "fetched": outcome is not None}
        go_on = wishes.command(flags, transfer)
        tell_end(out, "cloud.download", payload, outcome, done="fetched", go_on=go_on)
    if outcome is not None:
        out.say(f"fetched {figures(outcome)}" if made.totals.to_send.files else "nothing to fetch: all images are here")
        if made.manifest is not None:
            out.hint(f"cxr data check --manifest {shlex.quote(str(wishes.folder / 'manifest.csv'))}")


def _ask(out: Out, made: Download, *, yes: bool) -> None:
    totals, connection = made.totals, made.source.connection
    replaced = totals.changed.files + made.replaced_manifest
    if replaced:
        out.confirm(f"Replace {replaced:,} files in {made.folder}?", yes=yes)
    elif connection is not None and connection.billed and totals.to_send.files:
        out.confirm(f"Fetch {totals.to_send.size / 1e9:,.2f} GB (the service bills what leaves it)?", yes=yes)
