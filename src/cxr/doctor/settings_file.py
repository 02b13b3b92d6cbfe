"""The settings: cxr.toml, CXR_* and what they come to."""

from __future__ import annotations

from collections.abc import Iterator

from cxr.doctor.findings import Finding, Level
from cxr.doctor.subject import Subject
from cxr.settings import CONFIG_NAME


def settings_file(subject: Subject) -> Iterator[Finding]:
    """Whether they can be read, and where `cxr cloud` works with them."""
    if subject.settings is None:
        fix = subject.settings_fix or f"correct {CONFIG_NAME} or the environment variable"
        yield Finding(Level.PROBLEM, "settings", subject.settings_error, fix)
        return
    place = subject.settings.on
    source = CONFIG_NAME if (subject.folder / CONFIG_NAME).is_file() else f"no {CONFIG_NAME}"
    billed = "; what is launched there costs money" if place.billed else ""
    yield Finding(Level.OK, "settings", f"{source}: cxr cloud works on {place}{billed}", facts={"on": str(place)})
