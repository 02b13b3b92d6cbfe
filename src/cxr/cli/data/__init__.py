"""`cxr data`: from a folder of images to a manifest that every other command takes."""

from __future__ import annotations

import typer

from cxr.cli.data import check, diff, import_dicom, import_file, sample, scan, shard, split

app = typer.Typer(
    help="Scan, check, split and compare manifests of X-rays; write import files and shards; import DICOM."
    "\n\nExample: cxr data scan chest_xray",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.command("scan")(scan.scan_command)
app.command("check")(check.check_command)
app.command("split")(split.split_command)
app.command("sample")(sample.sample_command)
app.command("import-file")(import_file.import_file_command)
app.command("diff")(diff.diff_command)
app.command("shard")(shard.shard_command)
app.command("import-dicom")(import_dicom.import_dicom_command)
