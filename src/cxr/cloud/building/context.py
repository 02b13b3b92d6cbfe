"""What an image is built from: a Dockerfile and the project's own wheel, the same bytes each time."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cxr.cloud.trainer.job import PUBLIC_IMAGE, check_image
from cxr.cloud.trainer.wheel import WHEEL_NAME, build_wheel
from cxr.files import write_bytes_atomically
from cxr.version import __version__

DOCKERFILE: Final = "Dockerfile"
_TEXT: Final = """\
# The trainer of cxr {version} in a container: cxr cloud train custom --image URI
FROM {base}

COPY {wheel} /opt/cxr/
RUN python3 -m pip install --no-cache-dir "/opt/cxr/{wheel}[trainer]" \\
    && useradd --create-home --shell /usr/sbin/nologin trainer

# A job writes to its own home and, by the service's interface, to the bucket: it needs no root.
USER trainer
WORKDIR /home/trainer
ENTRYPOINT ["python3", "-m", "cxr.local_baseline.trainer"]
"""


def build_context(base: str = PUBLIC_IMAGE) -> dict[str, bytes]:
    """The files of the context by name. Raises UsageError for what is no image's name."""
    check_image(base)
    text = _TEXT.format(version=__version__, base=base, wheel=WHEEL_NAME)
    return {DOCKERFILE: text.encode(), WHEEL_NAME: build_wheel()}


def write_context(files: Mapping[str, bytes], folder: Path) -> list[Path]:
    """Write the context to a folder; files of the same name are replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, data in files.items():
        write_bytes_atomically(folder / name, data)
        paths.append(folder / name)
    return paths


def packed(files: Mapping[str, bytes]) -> bytes:
    """The context as a tar.gz, without times or names of this machine."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in sorted(files.items()):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), 0o644
            archive.addfile(member, io.BytesIO(data))
    return gzip.compress(stream.getvalue(), mtime=0)


def digest_of(files: Mapping[str, bytes]) -> str:
    """sha256 (hex) of the names and bytes."""
    said = hashlib.sha256()
    for name, data in sorted(files.items()):
        said.update(f"{name}\0{hashlib.sha256(data).hexdigest()}\n".encode())
    return said.hexdigest()
