"""The page makes no markup of texts: whatever a file, a label or a model is called is shown as it is written."""

from __future__ import annotations

import re
from pathlib import Path

from cxr.webapp.headers import content_security_policy

ROOT = Path(__file__).resolve().parents[2]
MARKUP = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|createContextualFragment|srcdoc|"
    r"\beval\s*\(|new\s+Function|setTimeout\(\s*[\"'`]|javascript:"
)


def test_the_pages_scripts_make_no_markup_and_run_no_text() -> None:
    sources = [*sorted((ROOT / "webapp" / "src").rglob("*.ts")), ROOT / "src/cxr/compare/report/explorer.js"]
    assert len(sources) > 30
    found = {
        f"{path.relative_to(ROOT)}:{number}"
        for path in sources
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if MARKUP.search(line)
    }
    assert found == set()


def test_the_policy_lets_no_other_script_run_and_no_word_out() -> None:
    policy = content_security_policy()
    assert "default-src 'none'" in policy
    assert "connect-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe-inline" not in policy
    assert "'unsafe-eval'" not in policy
    assert "*" not in policy


def test_every_template_escapes_what_it_shows() -> None:
    """Autoescape is on in each environment, and no template turns it off for a value."""
    makers = [
        path
        for path in (ROOT / "src" / "cxr").rglob("*.py")
        if "Environment(\n" in (text := path.read_text(encoding="utf-8")) and "jinja2" in text
    ]
    assert len(makers) >= 4
    assert all("autoescape=True" in path.read_text(encoding="utf-8") for path in makers)
    for path in (ROOT / "src" / "cxr").rglob("*.j2"):
        assert not re.search(r"\|\s*safe\b|autoescape\s+false", path.read_text(encoding="utf-8")), path
