"""The pages, each as a folder that a server shows."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from cxr.bundle import Bundle

HERE = Path(__file__).parent
#: What is said of an engine that the library chooses by itself.
CHOSEN = "as it chooses"


@dataclass(frozen=True, slots=True)
class Contestant:
    """A page. `ours`: the one that `cxr web build` made; `isolated`: served with the headers that threads need."""

    name: str
    folder: Path
    ours: bool = False
    isolated: bool = False


def peer_pages(packages: Path, float32: Bundle, tflite: Bundle, folder: Path) -> tuple[Contestant, ...]:
    """The same model in others' runtimes: `float32` is its TF.js export, `tflite` its TFLite export (of a fixed batch:
    LiteRT.js takes no other), `packages` the peers' node_modules. Each page is made in `folder`."""
    return (
        _stock(packages, float32, folder / "stock-wasm", "wasm"),
        _stock(packages, float32, folder / "stock-threads", "wasm", isolated=True),
        _stock(packages, float32, folder / "stock-default", "default"),
        _litert(packages, tflite, folder / "litert", ""),
        _litert(packages, tflite, folder / "litert-threads", "threads"),
    )


def _stock(packages: Path, bundle: Bundle, folder: Path, engine: str, *, isolated: bool = False) -> Contestant:
    library, backend = packages / "@tensorflow/tfjs/dist", packages / "@tensorflow/tfjs-backend-wasm/dist"
    shutil.copytree(bundle.model_path, folder / "model")
    scripts = ["tf.min.js"]
    shutil.copyfile(library / "tf.min.js", folder / "tf.min.js")
    if engine == "wasm":
        scripts.append("tf-backend-wasm.min.js")
        shutil.copyfile(backend / scripts[-1], folder / scripts[-1])
        (folder / "wasm").mkdir()
        for path in backend.glob("*.wasm"):
            shutil.copyfile(path, folder / "wasm" / path.name)
    tags = [f'<script src="{name}"></script>' for name in scripts]
    words = {"wasm": "wasm, threads" if isolated else "wasm"}.get(engine, CHOSEN)
    title = f"tf.min.js ({words})"
    _write_page(folder, bundle, title, engine, [*tags, '<script type="module" src="stock.js"></script>'], "stock.js")
    return Contestant(title, folder, isolated=isolated)


def _litert(packages: Path, bundle: Bundle, folder: Path, engine: str) -> Contestant:
    core, tools = packages / "@litertjs/core", packages / "@litertjs/wasm-utils/dist/index.js"
    shutil.copytree(core / "wasm", folder / "wasm")
    shutil.copyfile(core / "dist/index.js", folder / "litert-core.js")
    shutil.copyfile(tools, folder / "wasm-utils.js")
    shutil.copyfile(bundle.model_path, folder / "model.tflite")
    imports = '{"imports": {"@litertjs/core": "./litert-core.js", "@litertjs/wasm-utils": "./wasm-utils.js"}}'
    tags = [f'<script type="importmap">{imports}</script>', '<script type="module" src="litert.js"></script>']
    title = f"LiteRT.js ({engine or 'wasm'})".replace("threads", "wasm, threads")
    _write_page(folder, bundle, title, engine, tags, "litert.js")
    return Contestant(title, folder, isolated=bool(engine))


def _write_page(folder: Path, bundle: Bundle, title: str, engine: str, tags: list[str], script: str) -> None:
    info = bundle.info
    values = {
        "HEIGHT": info.preprocessing.height,
        "WIDTH": info.preprocessing.width,
        "CHANNELS": info.preprocessing.channels,
        "POSITIVE": info.classes.index(info.positive_class or info.classes[-1]),
        "ENGINE": engine,
        "TITLE": title,
        "SCRIPTS": "\n    ".join(tags),
    }
    html = (HERE / "index.html").read_text(encoding="utf-8")
    for name, value in values.items():
        html = html.replace(f"%{name}%", str(value))
    (folder / "index.html").write_text(html, encoding="utf-8")
    for name in ("files.js", script):
        shutil.copyfile(HERE / name, folder / name)
