"""The images that are sent to an endpoint: looked for before anything is billed, read when they are sent."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cxr.cloud.connection import Connection
from cxr.cloud.predicting.scores import SPLIT, Picture
from cxr.cloud.uploading import check_split_uploaded
from cxr.errors import ChangedOnDisk, InputError, UsageError
from cxr.manifests.manifest import Manifest


@dataclass(frozen=True, slots=True)
class PicturePlace:
    """Where images are: a folder, or (None) the bucket."""

    connection: Connection
    root: Path | None

    @property
    def name(self) -> str:
        """For people."""
        return str(self.root or self.connection.images_url)

    def read(self, picture: Picture) -> bytes:
        """The image's bytes. Raises InputError when it is not there, ChangedOnDisk when it is not what was scanned."""
        if self.root is None:
            data = self.connection.store("images").get_bytes(picture.path)
        else:
            try:
                data = (self.root / picture.path).read_bytes()
            except OSError as error:
                raise _unreadable(self.root / picture.path, error) from error
        if picture.sha256 and hashlib.sha256(data).hexdigest() != picture.sha256:
            raise _changed(picture)
        return data


def place_of(
    connection: Connection, manifest: Manifest, pictures: Sequence[Picture], given: Path | None
) -> PicturePlace:
    """The folder `given`, else that of the manifest, else the bucket, with all pictures there in their sizes.

    Raises UsageError when `given` is no folder, InputError when an image is missing, ChangedOnDisk for another size.
    """
    if given is not None and not given.is_dir():
        raise UsageError(f"--images {given} is no folder", hint="name the folder that was scanned")
    root = given or (None if manifest.is_remote or not manifest.root.is_dir() else manifest.root)
    if root is None:
        check_split_uploaded(connection, manifest, SPLIT)
        return PicturePlace(connection, None)
    for picture in pictures:
        try:
            size = (root / picture.path).stat().st_size
        except OSError as error:
            raise _unreadable(root / picture.path, error) from error
        if size != picture.size:
            raise _changed(picture)
    return PicturePlace(connection, root)


def _unreadable(path: Path, error: OSError) -> InputError:
    return InputError(f"cannot read {path}: {error.strerror}", hint="name the folder that was scanned: --images")


def _changed(picture: Picture) -> ChangedOnDisk:
    return ChangedOnDisk(f"{picture.path} is not the image that was scanned", hint="cxr data scan DIR")
