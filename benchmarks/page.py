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
import json
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
from harness.result import Better, Result, bound_of_value
from harness.script import Script, run_script
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
#: What is timed, in words, and what ours may take in ms.
TITLES = {
    "first": ("first prediction", GOAL_FIRST_MS),
    "first_by_network": ("first prediction over 20 Mbit/s", None),
    "row": ("an image, many in a row", GOAL_IMAGE_MS),
    "small": ("an image of 224x224", GOAL_IMAGE_MS),
    "large": ("an image of 2 megapixels", GOAL_IMAGE_MS),
    "large_shown": ("an image of 2 megapixels, until it is shown", None),
}


def measure_pages(script: Script) -> None:
    """Ours and the peers', if there is a browser."""
    try:
        static_folder()
    except CxrError as error:
        script.say_absent("the page", f"{error.message}; {error.hint}")
        return
    if missing := lacking_browser():
        script.say_absent("the page", f"there is no browser: {missing}")
        return
    with tempfile.TemporaryDirectory(prefix="cxr-page-") as name:
        _compare(script, Path(name))


def _compare(script: Script, folder: Path) -> None:
    options = script.options
    rounds = options.rounds or (QUICK_ROUNDS if script.quick else ROUNDS)
    source, manifest = _subject(options, folder)
    page = folder / "page"
    built = make_page(
        Out(quiet=True), source, page, PageOptions(options.cache or folder / "cache", manifest, allow=True)
    )
    pages = (Contestant("ours", page, ours=True), *_peers(script, source, folder))
    gate = Gate.from_json(built.description.gate) if built.description.gate else None
    count = QUICK_IMAGES if script.quick else IMAGES
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
        for _ in range(rounds):
            for one in pages:
                times[one.name].append(measure(launch, served[one.name][0], pictures))
    _report(script, findings, times, pictures)


def _subject(options: argparse.Namespace, folder: Path) -> tuple[Bundle, Manifest]:
    """The bundle, in a folder of ours (exports are made beside it), and the manifest of its training."""
    target = folder / "bundle"
    if (options.bundle is None) != (options.manifest is None):
        raise SystemExit("--bundle and --manifest go together")
    if options.bundle is None:
        manifest = drawn_manifest(folder)
        return untrained_flagship(manifest, target), manifest
    shutil.copytree(options.bundle, target)
    if (evaluation := beside(options.bundle, "evaluation")).is_dir():
        shutil.copytree(evaluation, beside(target, "evaluation"))
    source = read_bundle(target)
    return source, view_for(read_manifest(options.manifest), source.info.classes)


def _peers(script: Script, source: Bundle, folder: Path) -> tuple[Contestant, ...]:
    try:
        packages = installed_packages()
    except Absent as reason:
        script.say_absent("pages of others", reason)
        return ()
    for package in ("@tensorflow/tfjs", "@litertjs/core"):
        document = json.loads((packages / package / "package.json").read_text(encoding="utf-8"))
        script.versions[package] = document["version"]
    formats = parse_formats("tfjs,tflite")
    request = ExportRequest(source, formats, beside(source.folder, "exports"), folder / "cache")
    made = make_exports(request, plan_exports(request), lambda done, total, note: None)
    bundles = [export.bundle for export in made if export.bundle is not None]
    if len(bundles) < len(formats):
        script.say_absent("pages of others", next(export.failure for export in made if export.failure))
        return ()
    return peer_pages(packages, bundles[0], bundles[1], folder / "peers")


def _check_same(findings: Mapping[str, Findings], pictures: Pictures) -> None:
    """Whether all pages run the same model: an image that needs no resizing must get one probability everywhere."""
    name = pictures.exact.name
    ours = findings["ours"].probabilities[name]
    for page, found in findings.items():
        if abs(found.probabilities[name] - ours) > SAME:
            raise SystemExit(f"{page} says {found.probabilities[name]:.4f}, ours {ours:.4f}: nothing was measured")


def _report(
    script: Script, findings: Mapping[str, Findings], times: Mapping[str, Sequence[Times]], pictures: Pictures
) -> None:
    peers = {page: page.replace(CHOSEN, f"{CHOSEN}: {found.engine}") for page, found in findings.items()}
    base, others = findings["ours"], [page for page in findings if page != "ours"]
    goal = bound_of_value(GOAL_BYTES / 1e3)
    script.add(Result("all that is kept for offline use", "gzipped", base.kept_bytes / 1e3, "kB", goal=goal))
    ours = base.first_bytes / 1e3
    for page in others or [None]:
        theirs = findings[page].first_bytes / 1e3 if page else None
        script.add(
            Result("first prediction", "gzipped", ours, "kB", Better.LESS, peers.get(page, ""), theirs, goal=goal)
        )
        goal = None  # told once
    for title, (words, aim_ms) in TITLES.items():
        goal_ms = aim_ms
        for page in others or [None]:
            theirs = times[page] if page else None
            script.add(_timed(words, title, goal_ms, times["ours"], theirs, peers.get(page, "")))
            goal_ms = None
    for page, found in findings.items():
        if page != "ours":
            off = max(abs(found.probabilities[path.name] - base.probabilities[path.name]) for path in pictures.small)
            script.note(f"{peers[page]}: probabilities off by up to {off:.3f}, as a canvas resizes the image.")
    if base.twice:
        script.note(f"Sent twice, to the page and for offline use: {', '.join(base.twice)}.")


def _timed(
    words: str, title: str, goal_ms: float | None, ours: Sequence[Times], theirs: Sequence[Times] | None, peer: str
) -> Result:
    values = [getattr(one, title) for one in ours]
    others = [getattr(one, title) for one in theirs] if theirs else []
    ratio = statistics.median(their / our for their, our in zip(others, values, strict=True)) if others else None
    return Result(
        words, "time", statistics.median(values), "ms", Better.LESS, peer if others else "",
        statistics.median(others) if others else None, ratio, bound_of_value(goal_ms) if goal_ms else None,
        (min(values), max(values)), len(values),
    )  # fmt: skip


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bundle", type=Path, help="a Keras bundle [default: an untrained flagship]")
    parser.add_argument("--manifest", type=Path, help="the manifest of its training (goes together with --bundle)")
    parser.add_argument("--cache", type=Path, help="where decoded images are kept [default: nowhere]")
    parser.add_argument("--rounds", type=int, help=f"visits to each page ({ROUNDS})")


if __name__ == "__main__":
    packages = ("tensorflow-cpu", "playwright")
    run_script(measure_pages, file=__file__, description=__doc__, packages=packages, arguments=_arguments)
