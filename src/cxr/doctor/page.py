"""The built web page: there and whole."""

from __future__ import annotations

from collections.abc import Iterator

from cxr.doctor.findings import Finding, Level
from cxr.doctor.subject import Subject
from cxr.documents import parse_json
from cxr.webapp.static import BUILD_FILE, FOLDER

#: A published wheel always has the page: without it, this is a checkout.
FIX = "make web (in the checkout; needs no Node of your own)"


def page(subject: Subject) -> Iterator[Finding]:
    """The files that `cxr web build` copies, each with the size that it was built with."""
    del subject
    try:
        files = parse_json((FOLDER / BUILD_FILE).read_text(encoding="utf-8"))["files"]
        sizes = {name: int(one["bytes"]) for name, one in files.items()}
    except FileNotFoundError:
        words = "the web page is not built: cxr web build, and export verify in Node and browser, need it"
        yield Finding(Level.NOTE, "page", words, FIX)
        return
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        yield Finding(Level.PROBLEM, "page", f"{FOLDER / BUILD_FILE} cannot be read", FIX)
        return
    wrong = [
        name for name, size in sizes.items() if not (FOLDER / name).is_file() or (FOLDER / name).stat().st_size != size
    ]
    if wrong:
        yield Finding(Level.PROBLEM, "page", f"{len(wrong)} of its files are missing or cut, first {wrong[0]}", FIX)
        return
    total = sum(sizes.values()) / 1e6
    yield Finding(Level.OK, "page", f"built: {len(sizes)} files, {total:.1f} MB", facts={"files": len(sizes)})
