"""`cxr web build`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cxr.about import RESEARCH_USE
from cxr.cli.baseline.common import CacheDir, Images
from cxr.cli.options import DEFAULT_MANIFEST, Json, Quiet
from cxr.cli.out import Out
from cxr.cli.web.making import FORMAT, PageOptions, make_page
from cxr.errors import InputError

if TYPE_CHECKING:
    from cxr.bundle import Bundle
    from cxr.manifests.manifest import Manifest
    from cxr.webapp.build import BuiltPage


def build_command(
    bundle_folder: Annotated[Path, typer.Argument(metavar="BUNDLE", help="A Keras bundle, or a TensorFlow.js one.")],
    page_folder: Annotated[Path, typer.Argument(metavar="OUT", help="The folder of the page.")] = Path("page"),
    manifest_path: Annotated[
        Path | None,
        typer.Option("--manifest", "-m", help="The manifest of the training [default: manifest.csv, if it is that]."),
    ] = None,
    evaluation: Annotated[
        Path | None, typer.Option("--evaluation", help="Figures to show [default: BUNDLE-evaluation/evaluation.json].")
    ] = None,
    hashes: Annotated[
        bool, typer.Option("--hashes/--no-hashes", help="Carry hashes of the training images, to tell them apart.")
    ] = True,
    allow: Annotated[bool, typer.Option("--allow", help="Take a model that failed its verification.")] = False,
    images: Images = None,
    cache: CacheDir = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Build a static page that runs the model in the browser: no server, no network after loading, works offline.

    With the manifest of its training the page tells training images from others, and refuses to score what does not
    look like a chest X-ray. Images stay on the device that shows the page. Research use, not a medical device.

    Example: cxr web build runs/flagship page && cxr web serve page
    """
    from cxr.bundle import read_bundle
    from cxr.settings import load_settings

    out = Out(as_json, quiet)
    source = read_bundle(bundle_folder)
    cache_dir = cache or load_settings().state_dir / "cache"
    manifest = _manifest(out, source, manifest_path)
    options = PageOptions(cache_dir, manifest, evaluation, images, hashes, allow)
    _print(out, make_page(out, source, page_folder, options))


def _manifest(out: Out, source: Bundle, path: Path | None) -> Manifest | None:
    """The manifest that is named; without a name the one that is there, if the bundle was trained on it."""
    from cxr.manifests.manifest_file import read_manifest
    from cxr.manifests.tasks import view_for

    if path is None and not DEFAULT_MANIFEST.is_file():
        out.say("note: without --manifest the page cannot tell training images, nor what looks like a chest X-ray")
        return None
    manifest = view_for(read_manifest(path or DEFAULT_MANIFEST), source.info.classes)
    if manifest.hash == source.info.manifest_hash:
        return manifest
    if path is None:
        out.say(f"note: {DEFAULT_MANIFEST} is not what the bundle was trained on: --manifest names the right one")
        return None
    raise InputError(
        f"{path} is not the manifest that {source.folder} was trained on",
        hint="training images and their look come from that one; leave --manifest out to build without it",
    )


def _print(out: Out, page: BuiltPage) -> None:
    described = page.description
    total = sum(page.sizes.values())
    rows = [
        ("model", f"{described.name}, {described.model.bytes / 1e6:.2f} MB, {FORMAT}"),
        ("heat map", "yes" if described.model.has_maps else "no: the net does not end in a global average"),
        ("training images known", f"{described.known.count:,}"),
        ("check of likeness", "yes" if described.gate else "no"),
        ("figures", described.metrics.caption if described.metrics else "none"),
        ("files", f"{len(page.sizes)}, {total / 1e6:.2f} MB"),
    ]
    out.table(("page", str(page.folder)), rows)
    payload = {
        "page": str(page.folder),
        "name": described.name,
        "has_maps": described.model.has_maps,
        "known_images": described.known.count,
        "has_gate": described.gate is not None,
        "files": dict(page.sizes),
    }
    out.result("web.build", payload)
    out.say(f"Images that are shown to the page stay on the device. {RESEARCH_USE}.")
    out.hint(f"cxr web serve {page.folder}")
