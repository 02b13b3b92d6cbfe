"""Keras files, which may come from anywhere: loaded only when they hold layers of Keras and no code.

A `.keras` file is an archive whose config.json names the classes that are to be made, by module; the older `.h5` holds
the same text. Keras' own safe mode refuses pickled functions; here nothing but Keras' own classes is made at all, and
none of those that run code, load other files or ask a network.
"""

from __future__ import annotations

import importlib
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from cxr.archives import UNREADABLE_ZIP
from cxr.documents import parse_json
from cxr.errors import InputError, first_line
from cxr.local_baseline.tensorflow_setup import load

#: What a file may name classes of: the parts of Keras that nets are made of, and plain types.
_PARTS: Final = (
    "activations|constraints|dtype_policies|initializers|layers|losses|metrics|models|ops|optimizers|quantizers"
    "|regularizers"
)
_MODULES: Final = re.compile(rf"builtins|keras|keras\.(?:src\.)?(?:{_PARTS})(?:\.[A-Za-z0-9_.]+)?")
#: What it may name functions of: with all of Keras, `load_model` and `get_file` would be among them.
_FUNCTION_MODULES: Final = re.compile(r"builtins|keras\.(?:src\.)?activations(?:\.[A-Za-z0-9_.]+)?")
#: The seed of an initializer or of a dropout: the one class that is taken of keras.random.
_SEED: Final = re.compile(r"keras\.(?:src\.)?random(?:\.seed_generator)?>SeedGenerator")
#: What a class may be called. Keras follows dots: of the module "keras", "layers.Lambda" is the layer that runs code.
_NAME: Final = re.compile(r"(?:[^>]*>)?([A-Za-z_][A-Za-z0-9_]*)")
#: Classes of Keras that carry code (Lambda, and functions by name), or read files of their own (TFSMLayer a SavedModel,
#: the lookups a vocabulary).
REFUSED: Final = frozenset(
    {"Lambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer", "StringLookup", "IntegerLookup"}
    | {"TextVectorization", "IndexLookup", "__lambda__"}
)
#: config.json of the largest net of the recipes has a megabyte.
MAX_CONFIG_BYTES: Final = 64 << 20
#: Unpacked, all members together.
MAX_MODEL_BYTES: Final = 8 << 30
_UNREADABLE: Final[tuple[type[Exception], ...]] = (*UNREADABLE_ZIP, TypeError, KeyError, AttributeError)
_UNLOADABLE: Final[tuple[type[Exception], ...]] = (*_UNREADABLE, ImportError)
CONFIG: Final = "config.json"
#: What Keras reads as HDF5, by the end of a file's name and whatever is in it.
_HDF5: Final = (".h5", ".hdf5")


def load_keras(path: Path) -> Any:
    """A Keras model, without what only training needs. Raises InputError when it cannot be read, or is more than layers
    and weights."""
    keras = load().keras  # a package that is missing is told first
    check_keras_file(path)
    try:
        return keras.models.load_model(path, compile=False, safe_mode=True)
    except _UNLOADABLE as error:
        raise InputError(f"cannot load the model {path}: {first_line(error)}") from error


def check_keras_file(path: Path) -> None:
    """Raises InputError for a file that names anything but classes of Keras, or those that run code, or that unpacks
    to more than a model. Nothing is loaded for it."""
    if not path.is_file():
        raise InputError(f"{path} is not a Keras file")
    try:
        config = parse_json(_config_of(path))
    except _UNREADABLE as error:
        raise InputError(f"cannot load the model {path}: {first_line(error)}") from error
    for said in _named(config):
        raise InputError(
            f"{path} is more than layers and weights: it names {said}",
            hint="code in a model runs on whoever loads it; save it without, or convert it to TFLite",
        )


def _config_of(path: Path) -> str | bytes:
    """The text that Keras will read, which goes by the end of the name: a file can be HDF5 and a zip at once."""
    if path.name.endswith(_HDF5):
        if zipfile.is_zipfile(path):
            raise ValueError("it is called HDF5 and is a zip archive too")
        return _config_of_h5(path)
    if not path.name.endswith(".keras"):
        raise ValueError("Keras reads files that end in .keras, .h5 or .hdf5")
    if not zipfile.is_zipfile(path):
        raise ValueError("it is called .keras and is no zip archive")
    with zipfile.ZipFile(path) as archive:
        if sum(member.file_size for member in archive.infolist()) > MAX_MODEL_BYTES:
            raise ValueError(f"it unpacks to more than {MAX_MODEL_BYTES:,} bytes")
        with archive.open(CONFIG) as stream:
            data = stream.read(MAX_CONFIG_BYTES + 1)
    if len(data) > MAX_CONFIG_BYTES:
        raise ValueError(f"its {CONFIG} has more than {MAX_CONFIG_BYTES:,} bytes")
    return data


def _config_of_h5(path: Path) -> str | bytes:
    h5py = importlib.import_module("h5py")  # comes with Keras, which needs it for the same files
    with h5py.File(path, "r") as file:
        if "model_config" not in file.attrs:
            raise ValueError("it holds weights and no model")
        config: str | bytes = file.attrs["model_config"]
        return config


def _named(config: Any) -> Iterator[str]:
    """Every class of a module that is none of Keras', and every class that is refused. Without recursion: a reader that
    fails at a thousand levels would be passed by."""
    waiting = [config]
    while waiting:
        one = waiting.pop()
        if isinstance(one, list):
            waiting.extend(one)
        elif isinstance(one, dict):
            waiting.extend(one.values())
            if one.get("class_name") is not None:
                yield from _wrong_with(one["class_name"], one.get("module"))
            if one.get("class_name") == "function" and isinstance(one.get("config"), str):
                yield from _wrong_with(one["config"], None)


def _wrong_with(name: Any, module: Any) -> Iterator[str]:
    plain = _NAME.fullmatch(str(name))
    if plain is None:
        yield f"{name!r}, which is no class's name"
    elif plain[1] in REFUSED:
        yield f"a {name}"
    allowed = _FUNCTION_MODULES if name == "function" else _MODULES
    if module is not None and not (allowed.fullmatch(str(module)) or _SEED.fullmatch(f"{module}>{name}")):
        yield f"{name!r} of the module {module!r}"
