"""The page as a folder of files: the built scripts, a TF.js model, and what the page is told of it.

Everything has a relative address, so the folder works at any path of any static host. Its files:

    index.html  page.json  service-worker.js  app.webmanifest  icon.svg
    assets/     all else, named by its content: scripts, style, wasm-HASH/, model-HASH/ (model.json and its weights),
                known-HASH.bin

So a page that is open, or half kept, while another version takes its place, meets its own files or none.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cxr.bundle import Bundle, ModelFormat
from cxr.documents import parse_json
from cxr.errors import InputError
from cxr.files import sha256_of_file
from cxr.folders import replaced_folder
from cxr.version import __version__
from cxr.webapp.card import metrics_of, model_card
from cxr.webapp.headers import HASHED, INDEX
from cxr.webapp.hints import with_hints
from cxr.webapp.known import PREFIX_BYTES, known_prefixes
from cxr.webapp.page import PAGE_FILE, KnownFiles, PageDescription, PageModel
from cxr.webapp.static import engine_files, on_demand_files, page_files

WORKER = "service-worker.js"
#: Hexadecimal digits of a content's hash in a name.
NAME_DIGITS = 8
#: Second output of a TF.js export with class activation maps.
MAPS_OUTPUT = "maps"


@dataclass(frozen=True)
class PageRequest:
    """What a page is made of. `export` is a TF.js bundle, `source` the bundle it was exported from (itself when there
    is none), `training_hashes` the SHA-256 of the training images' files (None: not known), `gate` the parameters of
    the looks-like-a-chest-X-ray check, `evaluation` an evaluation.json of the source."""

    export: Bundle
    source: Bundle
    training_hashes: Sequence[str] | None = None
    gate: Mapping[str, Any] | None = None
    evaluation: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class BuiltPage:
    """A page on disk: its description, and the bytes of each file (path within the page)."""

    folder: Path
    description: PageDescription
    sizes: Mapping[str, int]


def build_page(request: PageRequest, folder: Path) -> BuiltPage:
    """Write the page into `folder`, whole or not at all; an older page there is replaced.

    Raises InputError for a bundle that is no TF.js model or an evaluation of another bundle, UsageError when the folder
    holds something else or the page's scripts have not been built.
    """
    check_page_request(request)
    description = describe(request)
    known = description.known.path
    with replaced_folder(folder, marker=PAGE_FILE) as part:
        for name, path in page_files().items():
            _copy(path, part / name)
        for path in sorted(request.export.model_path.iterdir()):
            _copy(path, part / description.model.path / path.name)
        if known is not None:
            (part / known).write_bytes(known_prefixes(request.training_hashes or ()))
        (part / PAGE_FILE).write_text(description.to_json(), encoding="utf-8")
        _hint(part, description)
        _list_kept_files(part)
    return BuiltPage(folder, description, page_sizes(folder))


def check_page_request(request: PageRequest) -> None:
    """Raises InputError for what cannot become a page."""
    export, source = request.export.info, request.source
    if export.format is not ModelFormat.TFJS:
        raise InputError(
            f"{request.export.folder} is a {export.format} model; browsers run tf-js",
            hint=f"cxr export {source.folder} --to tfjs-uint16",
        )
    judged = (request.evaluation or {}).get("bundle", {}).get("hash", source.hash)
    if judged != source.hash:
        raise InputError(
            f"the evaluation is of another bundle ({judged[:12]}, not {source.hash[:12]})",
            hint=f"judge this one: cxr baseline evaluate {source.folder}",
        )


def describe(request: PageRequest) -> PageDescription:
    """What page.json will say."""
    info, hashes = request.export.info, request.training_hashes
    built_by = f"cxr {__version__}"
    size = request.export.model_size_bytes
    known = known_prefixes(hashes) if hashes is not None else b""
    known_file = _known_file(known) if hashes is not None else None
    contract = info.preprocessing
    return PageDescription(
        name=request.source.info.name,
        classes=info.classes,
        positive_class=info.positive_class,
        preprocessing={
            name: getattr(contract, name)
            for name in ("height", "width", "channels", "aspect", "resize", "scale", "offset", "scale_inside_model")
        },
        threshold=asdict(info.threshold),
        temperature=info.calibration.temperature if info.calibration and not info.calibration.inside_model else None,
        model=PageModel(_model_folder(request.export), size, _has_maps(request.export.model_path)),
        known=KnownFiles(known_file, PREFIX_BYTES, len(known) // PREFIX_BYTES),
        gate=request.gate,
        metrics=metrics_of(request.evaluation) if request.evaluation is not None else None,
        card=model_card(request.source, len(hashes) if hashes is not None else None, size, built_by),
        built_by=built_by,
    )


def page_sizes(folder: Path) -> dict[str, int]:
    """Bytes of each file of a page, by its path within it (POSIX)."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}


def _model_folder(export: Bundle) -> str:
    files = sorted(export.model_path.iterdir())
    digest = hashlib.sha256("".join(f"{path.name} {sha256_of_file(path)}\n" for path in files).encode())
    return f"{HASHED}model-{digest.hexdigest()[:NAME_DIGITS]}/"


def _known_file(prefixes: bytes) -> str:
    return f"{HASHED}known-{hashlib.sha256(prefixes).hexdigest()[:NAME_DIGITS]}.bin"


def _has_maps(model: Path) -> bool:
    try:
        document = parse_json((model / "model.json").read_text(encoding="utf-8"))
        return MAPS_OUTPUT in document["signature"]["outputs"]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"cannot read {model / 'model.json'}: {error}") from error


def _hint(folder: Path, description: PageDescription) -> None:
    """Have the browser load at once what the first image needs."""
    scripts, wasm = engine_files()
    model = description.model.path
    files = [PAGE_FILE, wasm, *sorted((name for name in page_sizes(folder) if name.startswith(model)), reverse=True)]
    if description.known.path is not None:
        files.append(description.known.path)
    index = folder / INDEX
    index.write_text(with_hints(index.read_text(encoding="utf-8"), scripts, files), encoding="utf-8")


def _list_kept_files(folder: Path) -> None:
    """Tell the service worker what to keep: a line before its script, so that a new page is a new script."""
    names = [name for name in page_sizes(folder) if name != WORKER]
    on_demand = sorted(on_demand_files())
    digest = hashlib.sha256("".join(f"{name} {sha256_of_file(folder / name)}\n" for name in names).encode())
    kept = {"version": digest.hexdigest()[:16], "files": names, "on_demand": on_demand}
    script = (folder / WORKER).read_text(encoding="utf-8")
    (folder / WORKER).write_text(f"self.CXR_KEPT={json.dumps(kept)};\n{script}", encoding="utf-8")


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
