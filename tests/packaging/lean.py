"""An environment with the packages that cxr always needs, and no extra: what a plain `pip install cxr` gives.

Made of links to what is installed here, so that it costs a blink and no download; a slow test does it by pip.
"""

from __future__ import annotations

import os
import sys
import venv
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

SOURCES = Path(__file__).resolve().parents[2] / "src"


def lean_environment(folder: Path, *extras: str) -> Path:
    """A virtual environment in `folder` with cxr (these sources), what it always needs, and `extras`; its Python."""
    venv.create(folder, with_pip=False, symlinks=True)
    site = next(folder.glob("lib/python*/site-packages"))
    for distribution in _closure("cxr", ("", *extras), {}).values():
        _link(distribution, site)
    (site / "cxr-sources.pth").write_text(f"{SOURCES}\n", encoding="utf-8")
    return folder / "bin" / "python"


def bare_environment(python: Path) -> dict[str, str]:
    """The variables for that Python: nothing of this process's path, home or clouds."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CXR_", "AWS_", "GOOGLE_"))}
    kept.pop("PYTHONPATH", None)
    return kept | {"PATH": str(python.parent), "HOME": str(python.parent), "AWS_EC2_METADATA_DISABLED": "true"}


def _closure(
    name: str, extras: tuple[str, ...], found: dict[str, metadata.Distribution]
) -> dict[str, metadata.Distribution]:
    if name.lower() in found:
        return found
    distribution = found[name.lower()] = metadata.distribution(name)
    for line in distribution.requires or []:
        requirement = Requirement(line)
        if requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in extras):
            _closure(requirement.name, ("", *requirement.extras), found)
    return found


def _link(distribution: metadata.Distribution, site: Path) -> None:
    root = Path(str(distribution.locate_file("")))
    tops = {file.parts[0] for file in distribution.files or [] if file.parts[0] not in {"..", "__pycache__"}}
    for top in sorted(tops):
        # Of cxr only the metadata: the package itself is that of these sources.
        ours = distribution.metadata["Name"] == "cxr" and not top.endswith(".dist-info")
        if not ours and (root / top).exists() and not (site / top).exists():
            (site / top).symlink_to(root / top)


if __name__ == "__main__":
    print(lean_environment(Path(sys.argv[1])))
