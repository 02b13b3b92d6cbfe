"""`cxr web build`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cxr.cli.baseline.common import CacheDir, Images, beside
from cxr.cli.options import DEFAULT_MANIFEST, Json, Quiet
from cxr.cli.out import Advance, Out
from cxr.errors import InputError

if TYPE_CHECKING:
    from cxr.bundle import Bundle
    from cxr.manifests.manifest import Manifest
    from cxr.webapp.build import BuiltPage

FORMAT = "tfjs-float16"


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
    from cxr.webapp.build import PageRequest, build_page, check_page_request

    out = Out(as_json, quiet)
    source = read_bundle(bundle_folder)
    cache_dir = cache or load_settings().state_dir / "cache"
    manifest = _manifest(out, source, manifest_path)
    with out.progress("web build") as advance:
        advance(0, 3, "model")
        export = _export(out, source, bundle_folder, cache_dir, allow=allow)
        advance(1, 3, "check of likeness")
        request = PageRequest(
            export=export,
            source=source,
            training_hashes=_training_hashes(manifest) if manifest is not None and hashes else None,
            gate=_gate(out, manifest, source, images, cache_dir, advance) if manifest is not None else None,
            evaluation=_evaluation(out, source, bundle_folder, evaluation),
        )
        check_page_request(request)
        advance(2, 3, "page")
        page = build_page(request, page_folder)
        advance(3, 3, "")
    _print(out, page)


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


def _export(out: Out, source: Bundle, folder: Path, cache_dir: Path, *, allow: bool) -> Bundle:
    """The bundle itself when browsers run it, else its export, made when it is not there."""
    from cxr.bundle import ModelFormat
    from cxr.compare.parity.document import check_shippable
    from cxr.local_baseline.exports.making import make_exports
    from cxr.local_baseline.exports.plan import ExportRequest, plan_exports
    from cxr.local_baseline.exports.registry import parse_formats

    if source.info.format is ModelFormat.TFJS:
        return source
    request = ExportRequest(source, parse_formats(FORMAT), beside(folder, "exports"), cache_dir)
    (made,) = make_exports(request, plan_exports(request), lambda done, total, note: None, out.say)
    if made.bundle is None:
        assert made.failure is not None
        raise made.failure
    if not allow:
        out.say(f"note: {check_shippable(made.bundle)}")
    return made.bundle


def _training_hashes(manifest: Manifest) -> list[str]:
    known = manifest.frame.loc[manifest.frame["split"].isin(("train", "validation")), "sha256"]
    return [str(digest) for digest in known if digest]


def _gate(
    out: Out, manifest: Manifest, source: Bundle, images: str | None, cache_dir: Path, advance: Advance
) -> dict[str, Any] | None:
    """The check of likeness, fitted to the images that the model was trained on."""
    from cxr.compare.images import split_images
    from cxr.webapp.gate import FEWEST_IMAGES, fit_gate

    contract = source.info.preprocessing
    train = split_images(manifest, "train", contract, images=images, cache_dir=cache_dir, on_progress=advance)
    gate = fit_gate(train.array[train.rows])
    if gate is None:
        out.say(f"note: no check of likeness: it takes {FEWEST_IMAGES} training images, there are {len(train)}")
        return None
    return gate.to_json()


def _evaluation(out: Out, source: Bundle, folder: Path, path: Path | None) -> dict[str, Any] | None:
    """The evaluation that is named, or the one beside the bundle; one of another bundle is left out."""
    found = path or beside(folder, "evaluation") / "evaluation.json"
    if path is None and not found.is_file():
        out.say(f"note: the page has no figures: cxr baseline evaluate {folder} makes them")
        return None
    try:
        document = json.loads(found.read_text(encoding="utf-8"))
        judged = document["bundle"]["hash"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"cannot read the evaluation {found}: {error}") from error
    if path is None and judged != source.hash:
        out.say(f"note: {found} is of the bundle before it changed, and left out: cxr baseline evaluate {folder}")
        return None
    return dict(document)


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
    out.say("Images that are shown to the page stay on the device. Research use, not a medical device.")
    out.hint(f"cxr web serve {page.folder}")
