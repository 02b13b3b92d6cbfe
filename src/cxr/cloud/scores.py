"""What the service answers for images: from its labels and confidences to one row of probabilities an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cxr.errors import CheckFailed, InputError

if TYPE_CHECKING:
    from cxr.manifests.manifest import Manifest

#: Formats that the service predicts, by the manifest's names (ImageClassificationPredictionInstance, mime_type).
MIME_TYPES: Mapping[str, str] = {
    "JPEG": "image/jpeg",
    "MPO": "image/jpeg",
    "PNG": "image/png",
    "GIF": "image/gif",
    "BMP": "image/bmp",
    "WEBP": "image/webp",
    "TIFF": "image/tiff",
    "ICO": "image/vnd.microsoft.icon",
}
_ENDINGS = {"JPG": "JPEG", "TIF": "TIFF"}
SPLIT = "test"


@dataclass(frozen=True, slots=True)
class Picture:
    """One image to be scored: its path in the manifest, bytes, sha256 ("" when not known) and MIME type."""

    path: str
    size: int
    sha256: str
    mime_type: str


@dataclass(slots=True)
class Scores:
    """Probabilities by path, in the order of `classes`; `failures` are paths that the service could not score, with
    its reason."""

    classes: tuple[str, ...]
    rows: dict[str, tuple[float, ...]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    def add(self, path: str, prediction: Mapping[str, Any]) -> None:
        """Take one answer (`displayNames` and `confidences`, in any order). Raises CheckFailed for other labels."""
        names = [str(name) for name in prediction.get("displayNames", [])]
        found = dict(zip(names, (float(value) for value in prediction.get("confidences", [])), strict=True))
        if set(found) != set(self.classes):
            raise CheckFailed(
                f"the service answered {', '.join(sorted(found)) or 'nothing'} for {path}, the manifest's labels are "
                f"{', '.join(self.classes)}",
                hint="name the manifest that the model was trained on: --manifest",
            )
        # Confidences are 32-bit floats: a one may come back as a little more.
        self.rows[path] = tuple(min(1.0, max(0.0, found[name])) for name in self.classes)

    def check_complete(self, pictures: Sequence[Picture]) -> None:
        """Raises CheckFailed, with the first reason, when an image has no answer."""
        missing = [picture.path for picture in pictures if picture.path not in self.rows]
        if missing:
            reason = self.failures.get(missing[0], "the service said nothing of it")
            raise CheckFailed(
                f"{len(missing):,} of {len(pictures):,} images were not scored, the first is {missing[0]}: {reason}",
                hint="mend or take out those images, scan and upload again; or run it anew: --again",
            )


def pictures_of(manifest: Manifest) -> list[Picture]:
    """The images of the test split. Raises InputError when there is none, or for a format that the service does not
    predict."""
    rows = manifest.split(SPLIT)
    if rows.empty:
        raise InputError(
            f"the manifest has no {SPLIT} images",
            hint="put images into test/<label>/ and scan again: cxr data scan DIR",
        )
    wanted = rows[["path", "size", "sha256", "format"]].itertuples(index=False, name=None)
    return [Picture(path, int(size), sha256, _mime_type(path, kind)) for path, size, sha256, kind in wanted]


def _mime_type(path: str, kind: str) -> str:
    ending = path.rpartition(".")[2].upper()
    name = kind or _ENDINGS.get(ending, ending)
    if name not in MIME_TYPES:
        raise InputError(f"the service does not predict images like {path} ({name})", hint="make it a JPEG or a PNG")
    return MIME_TYPES[name]
