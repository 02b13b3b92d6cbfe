"""The options that many commands share, declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cxr.cli.completions import targets

Json = Annotated[bool, typer.Option("--json", help="Print the result as one JSON document on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors and the result.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Go on without asking.")]
ManifestPath = Annotated[Path, typer.Option("--manifest", "-m", help="The manifest to work on.")]

On = Annotated[
    str | None,
    typer.Option("--on", help="Where to work: emulator (default), gcp, aws-local or aws.", autocompletion=targets),
]
Project = Annotated[str | None, typer.Option("--project", help="Google Cloud project; on Amazon the account.")]
Region = Annotated[str | None, typer.Option("--region", help="Region of bucket and jobs.")]
Bucket = Annotated[str | None, typer.Option("--bucket", help="Bucket name, without gs:// or s3://.")]
Prefix = Annotated[str | None, typer.Option("--prefix", help="Folder in the bucket.")]
StateDir = Annotated[
    Path | None,
    typer.Option("--state-dir", help="Where the job journal and the emulators' state are kept [default: .cxr]."),
]

DEFAULT_MANIFEST = Path("manifest.csv")
