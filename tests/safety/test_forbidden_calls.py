"""What no line of this program does: run text as code, load pickles, start a shell, trust a name in a shared folder."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "src" / "cxr"
#: Called by their bare names.
NAMES = {"eval", "exec", "__import__", "compile"}
#: Modules that load code or objects from bytes, and formats whose usual loader does.
MODULES = {"pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "yaml", "telnetlib", "ftplib"}
#: What is neither called nor imported, nor anything below it, by whatever name its module was imported.
CALLS = {
    "tempfile.mktemp", "os.system", "os.popen", "os.tempnam", "subprocess.getoutput", "subprocess.getstatusoutput",
    "numpy.fromregex", "ssl._create_unverified_context", "importlib.reload", "xml.etree", "xml.dom",
    "xml.sax.parse", "xml.sax.parseString", "xml.sax.make_parser",
}  # fmt: skip
#: What modules are called where they are not imported at the top of a file.
USUAL = {"np": "numpy", "tf": "tensorflow", "pd": "pandas"}
#: Arguments by name and value.
ARGUMENTS = {
    ("shell", True), ("allow_pickle", True), ("safe_mode", False), ("autoescape", False),
    ("weights_only", False), ("trust_remote_code", True),
}  # fmt: skip
#: Calls that run code unless they are told not to, by the ends of their names, and the one file that may call them.
GUARDED = {
    "load_model": "local_baseline/models/keras_files.py",
    "saved_model.load": "compare/predictors/saved_model_files.py",
    "saved_model.load_v2": "compare/predictors/saved_model_files.py",
    "extractall": "cloud/emulator/jobs/pip_shim.py",  # of a zip, whose members stay inside by themselves
}


@cache
def sources() -> dict[str, tuple[str, ast.AST]]:
    """Each file's text and tree, by its path."""
    texts = {path.relative_to(PACKAGE).as_posix(): path.read_text("utf-8") for path in sorted(PACKAGE.rglob("*.py"))}
    return {name: (text, ast.parse(text)) for name, text in texts.items()}


def imported(tree: ast.AST) -> dict[str, str]:
    """What each name in a file stands for, as far as it was imported."""
    names = dict(USUAL)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names[alias.asname or alias.name.split(".")[0]] = (
                    alias.name if alias.asname else alias.name.split(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.update({alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names})
    return names


def dotted(node: ast.expr, names: dict[str, str]) -> str:
    """`np.load` as "numpy.load"; of what is no plain name, such as `load().keras.load_model`, the last parts."""
    if isinstance(node, ast.Name):
        return names.get(node.id, node.id)
    return f"{dotted(node.value, names)}.{node.attr}" if isinstance(node, ast.Attribute) else ""


def begins(name: str, start: str) -> bool:
    return f"{name}.".startswith(f"{start}.")


def ends(name: str, end: str) -> bool:
    return f".{name}".endswith(f".{end}")


def forbidden(tree: ast.AST, name: str) -> Iterator[str]:
    names = imported(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            module = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
            for one in [f"{module}{alias.name}" for alias in node.names]:
                if one.split(".")[0] in MODULES or any(begins(one, call) for call in CALLS):
                    yield f"line {node.lineno}: {one} is imported"
                # Under another name it would be called where nobody looks for it.
                if isinstance(node, ast.ImportFrom) and not one.startswith("cxr."):
                    yield from not_here(one, name, node.lineno)
        if not isinstance(node, ast.Call):
            continue
        called = dotted(node.func, names)
        if isinstance(node.func, ast.Name) and called in NAMES:
            yield f"line {node.lineno}: {called}()"
        if any(begins(called, call) for call in CALLS):
            yield f"line {node.lineno}: {called}()"
        yield from not_here(called, name, node.lineno)
        for word in node.keywords:
            value = word.value.value if isinstance(word.value, ast.Constant) else None
            if isinstance(value, bool) and (word.arg, value) in ARGUMENTS:
                yield f"line {node.lineno}: {word.arg}={value}"


def not_here(called: str, name: str, line: int) -> Iterator[str]:
    yield from (
        f"line {line}: {called} outside of {at}" for end, at in GUARDED.items() if ends(called, end) and at != name
    )


def test_no_code_is_made_of_text_and_no_shell_is_started() -> None:
    found = {f"{name}: {words}" for name, (_, tree) in sources().items() for words in forbidden(tree, name)}
    assert found == set()


@pytest.mark.parametrize(
    "line",
    [
        "eval(text)",
        "import pickle",
        "from pickle import loads",
        "import yaml",
        "os.system('ls')",
        "from os import system",
        "tempfile.mktemp()",
        "subprocess.run(['a'], shell=True)",
        "np.load(path, allow_pickle=True)",
        "keras.models.load_model(path)",
        "archive.extractall(folder)",
        "import xml.etree.ElementTree",
        "import xml.etree.ElementTree as tree",
        "from xml.etree import ElementTree",
        "from xml import etree",
        "from xml.dom.minidom import parse",
        "np.fromregex(path, text, kind)",
        "import numpy as n\nn.fromregex(path, text, kind)",
        "from numpy import fromregex",
        "from keras.models import load_model\nload_model(p)",
        "from keras.models import load_model as read\nread(p)",
        "from keras import models\nmodels.load_model(p)",
        "load_model(p)",
        "load().keras.models.load_model(p)",
        "tf.saved_model.load(folder)",
        "load().tf.saved_model.load(folder)",
        "from tensorflow import saved_model\nsaved_model.load(folder)",
        "from tensorflow.saved_model import load",
        "import os as system\nsystem.popen('ls')",
        "import pickle as p",
        "import json, marshal",
        "Environment(autoescape=False)",
    ],
)
def test_a_forbidden_line_is_found(line: str) -> None:
    assert list(forbidden(ast.parse(line), "other.py"))


@pytest.mark.parametrize(
    "line", ["from cxr.predictors import load_model_card", "np.load(path)", "tf.saved_model.save(net)", "import xmlrpc"]
)
def test_a_line_that_is_like_one_is_not(line: str) -> None:
    assert list(forbidden(ast.parse(line), "other.py")) == []


def test_images_are_opened_in_the_formats_of_radiographs_only() -> None:
    """Pillow knows EPS, which it hands to Ghostscript, and many more: a file's name does not decide what it is."""
    bare = {
        f"{name}:{node.lineno}"
        for name, (text, tree) in sources().items()
        if "Image.open" in text
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "open"
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "Image"
        and not any(word.arg == "formats" for word in node.keywords)
        # Pictures that this very run has drawn.
        and name.rpartition("/")[2] not in {"report.py", "make.py"}
    }
    assert bare == set()


def test_json_and_toml_from_files_are_read_where_deep_nesting_is_an_error() -> None:
    """What a process of ours has just written may be read as it is; the emulators have a reader of their own."""
    own = {
        "documents.py", "cloud/local_servers/process.py", "cloud/plans/files.py", "cloud/hosting/saved.py",
        "webapp/static.py", "webapp/headers.py",
        "cloud/hosting/page_server.py", "compare/parity/process.py", "cli/baseline/train_steps.py",
        "compare/predictors/tfjs_model.py", "local_baseline/stand_in/items.py", "local_baseline/stand_in/scoring.py",
        "local_baseline/platform_environment.py", "local_baseline/training/distribution.py",
    }  # fmt: skip
    found = {
        name
        for name, (text, _) in sources().items()
        if name not in own
        and not name.startswith(("cloud/emulator/", "cloud/aws/local/"))
        and ("json.loads(" in text or "tomllib.loads(" in text)
    }
    assert found == set()
