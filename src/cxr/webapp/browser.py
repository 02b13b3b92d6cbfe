"""The browser of this machine that pages and exports are tried in."""

from __future__ import annotations

import shutil

#: Names of the browser on Debian and Fedora, and where it lies on macOS.
NAMES = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)
INSTALL = "apt install chromium (Debian, Ubuntu), or any Chrome"


def find_chromium() -> str | None:
    """The path of a Chromium or Chrome on this machine."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)
