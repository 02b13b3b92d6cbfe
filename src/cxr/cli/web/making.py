"""Making a page out of a bundle: for `cxr web build` and the demo."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cxr.cli.baseline.common import beside
from cxr.cli.out import Out
from cxr.documents import parse_json
from cxr.errors import InputError
from cxr.progress import Progress, silent

if TYPE_CHECKING:
    from cxr.bundle import Bundle
    from cxr.manifests.manifest import Manifest
    from cxr.webapp.build import BuiltPage

#: Half the bytes of float32, and probabilities within 1e-3 of Keras's.
FORMAT = "tfjs-uint16"


@dataclass(frozen=True)
class PageOptions:
    """What a page is made with. `manifest`: of the training, or None; `evaluation`: a file, or None for the one beside
    the bundle; `hashes`: carry those of the training images; `allow`: a model that failed its verification too."""

    cache_dir: Path
    manifest: Manifest | None = None
    evaluation: Path | None = None
    images: str | None = None
    hashes: bool = True
    allow: bool = False


def make_page(out: Out, source: Bundle, page_folder: Path, options: PageOptions) -> BuiltPage:
    """Build the page of a bundle. Raises what exporting, and `cxr.webapp.build.build_page`, raise."""
    from cxr.webapp.build import PageRequest, build_page, check_page_request

    manifest = options.manifest
    with out.progress("web build") as advance:
        advance(0, 3, "model")
        export = _export(out, source, options)
        advance(1, 3, "check of likeness")
        request = PageRequest(
            export=export,
            source=source,
            training_hashes=_training_hashes(manifest) if manifest is not None and options.hashes else None,
            gate=_gate(out, manifest, source, options, advance) if manifest is not None else None,
            evaluation=_evaluation(out, source, options.evaluation),
        )
        check_page_request(request)
        advance(2, 3, "page")
        page = build_page(request, page_folder)
        advance(3, 3, "")
    return page


def _export(out: Out, source: Bundle, options: PageOptions) -> Bundle:
    """The bundle itself when browsers run it, else its export, made when it is not there."""
    from cxr.bundle import ModelFormat
    from cxr.compare.parity.document import check_shippable
    from cxr.local_baseline.exports.making import make_exports
    from cxr.local_baseline.exports.plan import ExportRequest, plan_exports
    from cxr.local_baseline.exports.registry import parse_formats

    if source.info.format is ModelFormat.TFJS:
        if "exported_from" in source.info.provenance and not options.allow:
            out.say(f"note: {check_shippable(source)}")
        return source
    request = ExportRequest(source, parse_formats(FORMAT), beside(source.folder, "exports"), options.cache_dir)
    (made,) = make_exports(request, plan_exports(request), silent, out.say)
    if made.bundle is None:
        assert made.failure is not None
        raise made.failure
    if not options.allow:
        out.say(f"note: {check_shippable(made.bundle)}")
    return made.bundle


def _training_hashes(manifest: Manifest) -> list[str]:
    known = manifest.frame.loc[manifest.frame["split"].isin(("train", "validation")), "sha256"]
    return [str(digest) for digest in known if digest]


def _gate(
    out: Out, manifest: Manifest, source: Bundle, options: PageOptions, advance: Progress
) -> dict[str, Any] | None:
    """The check of likeness, fitted to the images that the model was trained on."""
    from cxr.compare.images import split_images
    from cxr.webapp.gate import FEWEST_IMAGES, fit_gate

    contract = source.info.preprocessing
    train = split_images(
        manifest, "train", contract, images=options.images, cache_dir=options.cache_dir, on_progress=advance
    )
    gate = fit_gate(train.array[train.rows])
    if gate is None:
        out.say(f"note: no check of likeness: it takes {FEWEST_IMAGES} training images, there are {len(train)}")
        return None
    return gate.to_json()


def _evaluation(out: Out, source: Bundle, path: Path | None) -> dict[str, Any] | None:
    """The evaluation that is named, or the one beside the bundle; one of another bundle is left out."""
    found = path or beside(source.folder, "evaluation") / "evaluation.json"
    if path is None and not found.is_file():
        out.say(f"note: the page has no figures: cxr baseline evaluate {source.folder} makes them")
        return None
    try:
        document = parse_json(found.read_text(encoding="utf-8"))
        judged = document["bundle"]["hash"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"cannot read the evaluation {found}: {error}") from error
    if path is None and judged != source.hash:
        out.say(
            f"note: {found} is of the bundle before it changed, and left out: cxr baseline evaluate {source.folder}"
        )
        return None
    return dict(document)
