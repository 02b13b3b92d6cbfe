"""`cxr baseline explain`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cxr.about import RESEARCH_USE
from cxr.cli.baseline.common import CacheDir, Images, beside
from cxr.cli.options import DEFAULT_MANIFEST, Json, ManifestPath, Quiet
from cxr.cli.out import Out
from cxr.errors import UsageError
from cxr.progress import Progress

if TYPE_CHECKING:
    from cxr.local_baseline.explain.explaining import Explainer
    from cxr.local_baseline.explain.nouns import Case, Explanation, Report


def explain_command(
    bundle_folder: Annotated[Path, typer.Argument(metavar="BUNDLE", help="A folder with bundle.json.")],
    image_paths: Annotated[list[Path] | None, typer.Argument(metavar="[IMAGE]…", help="Image files.")] = None,
    mistakes: Annotated[
        int | None, typer.Option("--mistakes", help="Instead of files: so many of the most confident mistakes.")
    ] = None,
    manifest_path: ManifestPath = DEFAULT_MANIFEST,
    split: Annotated[str, typer.Option("--split", help="Where the mistakes are: test or validation.")] = "test",
    layers: Annotated[
        str | None, typer.Option("--layers", help="Activations to show, by commas [default: one layer a block].")
    ] = None,
    target: Annotated[
        str | None, typer.Option("--class", help="Whose evidence is mapped [default: the class that is called].")
    ] = None,
    out_folder: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for the pictures [default: BUNDLE-explained].")
    ] = None,
    images: Images = None,
    cache: CacheDir = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show where in images a model finds its evidence, and what its layers answer.

    Nets that end in a global average get class activation maps, others Grad-CAM at the last convolution, laid over the
    original image; PNG files and one page, explain.html. Needs a bundle in the Keras format. Research use, not a
    medical device.

    Example: cxr baseline explain runs/cnn5 --mistakes 10
    """
    from cxr.bundle import read_bundle
    from cxr.cli.baseline.explain_cases import cases_of_files, cases_of_mistakes
    from cxr.local_baseline.explain.explaining import check_explainable, check_target
    from cxr.local_baseline.explain.report import prepare
    from cxr.settings import load_settings

    out = Out(as_json, quiet)
    paths = image_paths or []
    _check_asked(paths, mistakes)
    bundle = read_bundle(bundle_folder)
    check_explainable(bundle)
    check_target(bundle, target)
    folder = out_folder or beside(bundle_folder, "explained")
    prepare(folder)
    chosen = None if layers is None else [name.strip() for name in layers.split(",") if name.strip()]
    with out.progress("explain") as advance:
        if mistakes is None:
            cases = cases_of_files(bundle, paths, manifest_path)
        else:
            cache_dir = cache or load_settings().state_dir / "cache"
            cases = cases_of_mistakes(
                bundle, manifest_path, split, mistakes, images=images, cache_dir=cache_dir, on_progress=advance
            )
        report = _explain(bundle_folder, chosen, cases, target, folder, advance) if cases else None
    if report is None:
        out.result("baseline.explain", {"out": None, "images": []})
        out.say(f"the model makes no mistake on the {split} split: there is nothing to explain")
        return
    _print(out, *report)


def _check_asked(paths: Sequence[Path], mistakes: int | None) -> None:
    if bool(paths) == (mistakes is not None):
        raise UsageError("name image files, or --mistakes, one of the two", hint="--mistakes 10")
    if mistakes is not None and mistakes < 1:
        raise UsageError(f"--mistakes {mistakes}: at least one")


def _explain(
    bundle_folder: Path,
    layers: Sequence[str] | None,
    cases: Sequence[Case],
    target: str | None,
    folder: Path,
    advance: Progress,
) -> tuple[Explainer, Report]:
    from cxr.bundle import read_bundle
    from cxr.local_baseline.explain.explaining import open_explainer
    from cxr.local_baseline.explain.report import write_report

    advance(0, len(cases), "loading the model")
    explainer = open_explainer(read_bundle(bundle_folder, verify=False), layers)

    def explanations() -> Iterator[Explanation]:
        for number, case in enumerate(cases, start=1):
            yield explainer.explain(case, target or case.called)
            advance(number, len(cases), case.path)

    return explainer, write_report(explainer, explanations(), folder)


def _print(out: Out, explainer: Explainer, report: Report) -> None:
    from cxr.local_baseline.explain.report import as_json

    info = explainer.bundle.info
    rows = [
        (
            one.explanation.case.path,
            one.explanation.case.truth or "-",
            one.explanation.case.called,
            f"{one.explanation.case.probabilities[info.positive_class]:.4f}",
            f"{info.threshold.value:.4f}",
            one.explanation.target,
            f"{one.explanation.log_odds:+.2f}",
            one.overlay,
        )
        for one in report.written
    ]
    probability = f"P({info.positive_class})"
    out.table(("image", "truth", "called", probability, "threshold", "evidence for", "log-odds", "map"), rows)
    payload = {"out": str(report.folder), "page": str(report.page), **as_json(explainer, report)}
    out.result("baseline.explain", payload)
    out.say(
        f"{report.method} at {report.layer}; page: {report.page}. A map shows what the model used, not where disease "
        f"is. {RESEARCH_USE}."
    )
