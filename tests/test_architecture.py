"""The map of docs/design.md holds: who imports whom, and nothing heavy on the way in."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "cxr"
HEAVY = (
    "tensorflow",
    "keras",
    "google.cloud.",
    "google.auth",
    "google.api_core",
    "boto3",
    "pandas",
    "numpy",
    "PIL",
    "matplotlib",
    "rich",
)


def test_parts_import_only_what_the_map_allows() -> None:
    result = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "0 broken" in result.stdout


def test_the_command_line_loads_nothing_heavy() -> None:
    code = "import sys, cxr.cli.main; print('\\n'.join(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert [name for name in loaded if name.startswith(HEAVY) and name.split(".")[0] != "cxr"] == []


def test_help_loads_nothing_heavy_either() -> None:
    code = (
        "import sys, atexit\n"
        "atexit.register(lambda: print('\\n'.join(sys.modules), file=sys.stderr))\n"
        "sys.argv = ['cxr', '--help']\n"
        "from cxr.cli.main import main\n"
        "main()\n"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "cxr demo" in shown.stdout
    assert [name for name in shown.stderr.split() if name.startswith(HEAVY)] == []


def _sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", _sources(), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_a_file_and_its_functions_stay_readable(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= 60, f"{node.name} has {length} lines"


def test_each_test_file_has_a_name_of_its_own() -> None:
    """Without packages pytest knows a file by its name alone, and two of one name are an error."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert sorted(name for name in set(names) if names.count(name) > 1) == []


def test_no_path_of_a_machine_and_no_registry_in_what_is_committed() -> None:
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    if not files:
        pytest.skip("not a git checkout")
    forbidden = ["/" + "work/", "/" + "root/", "pypi" + ".org", "registry.npm" + "js.org", "files.python" + "hosted"]
    for name in files:
        path = ROOT / name
        if not path.is_file() or path.suffix in {".png", ".jpeg"}:
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        assert [word for word in forbidden if word in text] == [], name


def test_the_pages_are_finished_and_their_links_lead_somewhere() -> None:
    for page in [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        text = page.read_text(encoding="utf-8")
        assert re.search(r"^\W*(TABLE|RESULTS|MEASURED|TODO|TBD)\W*$", text, re.MULTILINE) is None, page.name
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
            assert "://" in target or (page.parent / target).exists(), f"{page.name}: {target}"


def test_no_code_asks_which_cloud_it_is() -> None:
    """Clouds are chosen in the registry; elsewhere a provider is asked what it does, not what it is called."""
    asks = re.compile(
        r"\bTarget\.[A-Z]|\.on (?:is (?!None|not None)|==|!=|in )|provider\.name (?:is|==|!=|in)\b|\.scheme (?:is|in)\b"
    )
    allowed = {
        "settings.py",
        "cloud/providers.py",
        "cloud/vertex/provider_place.py",
        "cloud/aws/provider_place.py",
        "cli/demo.py",
        "cli/demo_steps.py",
    }
    found = {
        f"{path.relative_to(PACKAGE)}:{number}"
        for path in PACKAGE.rglob("*.py")
        if str(path.relative_to(PACKAGE)) not in allowed
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if asks.search(line)
    }
    assert found == set()
