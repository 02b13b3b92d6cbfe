"""The page that `cxr web build` makes, against the same model in pages of others, in a real headless Chromium.

Ours carries the model with 16-bit weights. The others carry what their converters write, float32: TensorFlow.js as one
`tf.min.js` with its WebAssembly engine (with and without threads) and with the engine that it chooses by itself, and
LiteRT.js with a TFLite file. They let a canvas resize, as such pages do, which changes the pixels and so the
probabilities: how far is a column. All files are gzipped, and every page has a server of its own on loopback. Each
round visits every page in turn, each time in a new browser; ratios are medians of the rounds' ratios.

Without --bundle an untrained net of the flagship's shape reads drawn images. A bundle needs the manifest of its
training, whose images make the page's check of likeness and whose test images are read. The peers' packages are
installed by npm into a cache folder of the user. What is missing (Chromium, the network) is said, and not measured.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from cxr.bundle import Bundle, read_bundle
from cxr.cli.baseline.common import beside
from cxr.cli.out import Out
from cxr.cli.web.making import PageOptions, make_page
from cxr.compare.parity.chromium import lacking_browser
from cxr.errors import CxrError
from cxr.local_baseline.exports.making import make_exports
from cxr.local_baseline.exports.plan import ExportRequest, plan_exports
from cxr.local_baseline.exports.registry import parse_formats
from cxr.manifests.manifest import Manifest
from cxr.manifests.manifest_file import read_manifest
from cxr.manifests.tasks import view_for
from cxr.webapp.gate import Gate
from cxr.webapp.static import static_folder
from page_peers.install import installed_packages
from page_peers.pages import CHOSEN, Contestant, peer_pages
from page_peers.server import counted_page
from page_peers.subject import Pictures, drawn_manifest, pictures_of, untrained_flagship
from page_peers.visit import Findings, Times, browsers, look, measure
from upload_peers.install import Absent

ROUNDS, IMAGES, QUICK_ROUNDS, QUICK_IMAGES = 5, 50, 2, 10
GOAL_BYTES, GOAL_FIRST_MS, GOAL_IMAGE_MS = 1_500_000, 1_500, 40
#: How far the same pixels may be apart: 16-bit weights, and a CSV of six digits.
SAME = 1e-3
TITLES = ("first", "first_by_network", "row", "small", "large", "large_shown")


def main() -> None:
    """Measure and print."""
    options = _options()
    try:
        static_folder()
    except CxrError as error:
        print(f"the page was not measured: {error.message}; {error.hint}")
        return
    if missing := lacking_browser():
        print(f"the page was not measured, there is no browser: {missing}")
        return
    with tempfile.TemporaryDirectory(prefix="cxr-page-") as name:
        _compare(options, Path(name))


def _compare(options: argparse.Namespace, folder: Path) -> None:
    source, manifest = _subject(options, folder)
    print(f"{os.cpu_count()} cores, load before: {os.getloadavg()[0]:.1f}; {source.info.name}", flush=True)
    page = folder / "page"
    built = make_page(
        Out(quiet=True), source, page, PageOptions(options.cache or folder / "cache", manifest, allow=True)
    )
    pages = (Contestant("ours", page, ours=True), *_peers(source, folder))
    gate = Gate.from_json(built.description.gate) if built.description.gate else None
    count = QUICK_IMAGES if options.quick else IMAGES
    pictures = pictures_of(manifest, source.info.preprocessing, gate, count, folder / "pictures")
    positive = source.info.positive_class or source.info.classes[-1]
    times: dict[str, list[Times]] = {one.name: [] for one in pages}
    with ExitStack() as stack:
        launch = stack.enter_context(browsers())
        served = {
            one.name: stack.enter_context(counted_page(one.folder, ours=one.ours, isolated=one.isolated))
            for one in pages
        }
        findings = {one.name: look(launch, one, *served[one.name], pictures, positive) for one in pages}
        _check_same(findings, pictures)
        for _ in range(options.rounds):
            for one in pages:
                times[one.name].append(measure(launch, served[one.name][0], pictures))
    _print(findings, times, pictures)


def _subject(options: argparse.Namespace, folder: Path) -> tuple[Bundle, Manifest]:
    """The bundle, in a folder of ours (exports are made beside it), and the manifest of its training."""
    target = folder / "bundle"
    if options.bundle is None:
        manifest = drawn_manifest(folder)
        return untrained_flagship(manifest, target), manifest
    shutil.copytree(options.bundle, target)
    if (evaluation := beside(options.bundle, "evaluation")).is_dir():
        shutil.copytree(evaluation, beside(target, "evaluation"))
    source = read_bundle(target)
    return source, view_for(read_manifest(options.manifest), source.info.classes)


def _peers(source: Bundle, folder: Path) -> tuple[Contestant, ...]:
    try:
        packages = installed_packages()
    except Absent as reason:
        print(f"other pages: absent: {reason}")
        return ()
    formats = parse_formats("tfjs,tflite")
    request = ExportRequest(source, formats, beside(source.folder, "exports"), folder / "cache")
    made = make_exports(request, plan_exports(request), lambda done, total, note: None)
    bundles = [export.bundle for export in made if export.bundle is not None]
    if len(bundles) < len(formats):
        print(f"other pages: absent: {next(export.failure for export in made if export.failure)}")
        return ()
    return peer_pages(packages, bundles[0], bundles[1], folder / "peers")


def _check_same(findings: Mapping[str, Findings], pictures: Pictures) -> None:
    """Whether all pages run the same model: an image that needs no resizing must get one probability everywhere."""
    name = pictures.exact.name
    ours = findings["ours"].probabilities[name]
    for page, found in findings.items():
        if abs(found.probabilities[name] - ours) > SAME:
            raise SystemExit(f"{page} says {found.probabilities[name]:.4f}, ours {ours:.4f}: nothing was measured")


def _print(findings: Mapping[str, Findings], times: Mapping[str, Sequence[Times]], pictures: Pictures) -> None:
    head = (
        "first prediction: kB", "ms", "ms at 20 Mbit/s", f"ms an image, {len(pictures.small)} in a row",
        "ms, 224x224", "ms, 2 megapixels", "and shown", "probability off by",
    )  # fmt: skip
    print(f"| page | {' | '.join(head)} |\n|{'---|' * (len(head) + 1)}")
    base, ours = findings["ours"], times["ours"]
    for page, found in findings.items():
        cells = [f"{found.first_bytes / 1e3:,.0f}{_factor(found.first_bytes / base.first_bytes, page)}"]
        cells += [_cell(times[page], ours, title, page) for title in TITLES]
        off = max(abs(found.probabilities[path.name] - base.probabilities[path.name]) for path in pictures.small)
        cells.append(f"{off:.3f}" if page != "ours" else "")
        label = page.replace(CHOSEN, f"{CHOSEN}: {found.engine}")
        print(f"| {label} | {' | '.join(cells)} |")
    print("Medians of the rounds (lowest to highest), times ours (median of the rounds' ratios).")
    _print_goals(base, ours)


def _cell(theirs: Sequence[Times], ours: Sequence[Times], title: str, page: str) -> str:
    values, base = ([getattr(one, title) for one in side] for side in (theirs, ours))
    digits = 0 if title.startswith("first") else 1
    low, middle, high = (f"{value:,.{digits}f}" for value in (min(values), statistics.median(values), max(values)))
    ratio = statistics.median(their / our for their, our in zip(values, base, strict=True))
    return f"{middle} ({low} to {high}){_factor(ratio, page)}"


def _factor(ratio: float, page: str) -> str:
    return "" if page == "ours" else f" ×{ratio:.1f}"


def _print_goals(found: Findings, times: Sequence[Times]) -> None:
    middle = {title: statistics.median(getattr(one, title) for one in times) for title in TITLES}
    goals = (
        ("kB before the first prediction", found.first_bytes / 1e3, GOAL_BYTES / 1e3),
        ("kB with all that is kept for offline use", found.kept_bytes / 1e3, GOAL_BYTES / 1e3),
        ("ms to the first prediction", middle["first"], GOAL_FIRST_MS),
        ("ms an image, many in a row", middle["row"], GOAL_IMAGE_MS),
        ("ms an image of 224x224", middle["small"], GOAL_IMAGE_MS),
        ("ms an image of 2 megapixels", middle["large"], GOAL_IMAGE_MS),
    )
    for what, value, goal in goals:
        print(f"ours, {what}: {value:,.1f} (goal: at most {goal:,.0f}, {'met' if value <= goal else 'missed'})")
    if found.twice:
        print(f"sent twice, to the page and for offline use: {len(found.twice)} files: {', '.join(found.twice)}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="The page against others, in a headless Chromium.")
    parser.add_argument("--bundle", type=Path, help="a Keras bundle [default: an untrained flagship]")
    parser.add_argument("--manifest", type=Path, help="the manifest of its training")
    parser.add_argument("--cache", type=Path, help="where decoded images are kept [default: nowhere]")
    parser.add_argument("--rounds", type=int, help=f"visits to each page ({ROUNDS})")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_ROUNDS} rounds of {QUICK_IMAGES} images")
    options = parser.parse_args()
    if (options.bundle is None) != (options.manifest is None):
        parser.error("--bundle and --manifest go together")
    options.rounds = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)
    return options


if __name__ == "__main__":
    main()
