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
#: `module.name` that are not called, nor imported.
CALLS = {
    ("tempfile", "mktemp"), ("os", "system"), ("os", "popen"), ("os", "tempnam"), ("subprocess", "getoutput"),
    ("subprocess", "getstatusoutput"), ("numpy", "fromregex"), ("ssl", "_create_unverified_context"),
    ("importlib", "reload"), ("xml", "etree"),
}  # fmt: skip
#: Arguments by name and value.
ARGUMENTS = {
    ("shell", True), ("allow_pickle", True), ("safe_mode", False), ("autoescape", False),
    ("weights_only", False), ("trust_remote_code", True),
}  # fmt: skip
#: Calls that run code unless they are told not to, and the one file that may call them.
GUARDED = {
    "load_model": "local_baseline/models/keras_files.py",
    "extractall": "cloud/emulator/jobs/pip_shim.py",  # of a zip, whose members stay inside by themselves
}


@cache
def sources() -> dict[str, tuple[str, ast.AST]]:
    """Each file's text and tree, by its path."""
    texts = {path.relative_to(PACKAGE).as_posix(): path.read_text("utf-8") for path in sorted(PACKAGE.rglob("*.py"))}
    return {name: (text, ast.parse(text)) for name, text in texts.items()}


def forbidden(tree: ast.AST, name: str) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            module = node.module if isinstance(node, ast.ImportFrom) else ""
            for one in [(module or "").split(".")[0], *(alias.name.split(".")[0] for alias in node.names)]:
                if one in MODULES:
                    yield f"line {node.lineno}: {one} is imported"
            for alias in node.names:
                if ((module or "").split(".")[0], alias.name) in CALLS:
                    yield f"line {node.lineno}: {module}.{alias.name} is imported"
        if not isinstance(node, ast.Call):
            continue
        called = node.func
        if isinstance(called, ast.Name) and called.id in NAMES:
            yield f"line {node.lineno}: {called.id}()"
        if isinstance(called, ast.Attribute):
            owner = called.value.id if isinstance(called.value, ast.Name) else ""
            if (owner, called.attr) in CALLS:
                yield f"line {node.lineno}: {owner}.{called.attr}()"
            if GUARDED.get(called.attr, name) != name:
                yield f"line {node.lineno}: {called.attr}() outside of {GUARDED[called.attr]}"
        for word in node.keywords:
            value = word.value.value if isinstance(word.value, ast.Constant) else None
            if isinstance(value, bool) and (word.arg, value) in ARGUMENTS:
                yield f"line {node.lineno}: {word.arg}={value}"


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
        "Environment(autoescape=False)",
    ],
)
def test_a_forbidden_line_is_found(line: str) -> None:
    assert list(forbidden(ast.parse(line), "other.py"))


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
        "compare/predictors/tfjs_model.py", "local_baseline/edge_items.py", "local_baseline/edge_scorer.py",
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
