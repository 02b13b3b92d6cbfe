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
#: How far a confidence may lie outside of 0..1, and the confidences of an image from adding up to one.
OUTSIDE = 1e-3
SUM_TOLERANCE = 1e-2


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
        """Take one answer (`displayNames` and `confidences`, in any order). Raises CheckFailed for other labels, for
        what are no probabilities, and for a second answer that is not the first."""
        names, values = _listed(prediction.get("displayNames")), _listed(prediction.get("confidences"))
        if len(names) != len(values) or {str(name) for name in names} != set(self.classes) or _repeats(names):
            raise CheckFailed(
                f"the service answered {', '.join(sorted(map(str, names))) or 'nothing'} for {path}, with "
                f"{len(values)} confidences; the manifest's labels are {', '.join(self.classes)}",
                hint="name the manifest that the model was trained on: --manifest",
            )
        found = {str(name): value for name, value in zip(names, values, strict=True)}
        if not _are_probabilities(values):
            said = ", ".join(f"{name} {value}" for name, value in found.items())
            raise CheckFailed(
                f"the service's answer for {path} is no set of probabilities: {said}", hint="predict it anew: --again"
            )
        # Confidences are 32-bit floats: a one may come back as a little more.
        row = tuple(min(1.0, max(0.0, float(found[name]))) for name in self.classes)
        if self.rows.setdefault(path, row) != row:
            raise CheckFailed(
                f"the service answered twice for {path}, not the same: {self.rows[path]}, {row}",
                hint="predict it anew: --again",
            )

    def check_complete(self, pictures: Sequence[Picture]) -> None:
        """Raises CheckFailed, with the first reason, when an image has no answer."""
        missing = [picture.path for picture in pictures if picture.path not in self.rows]
        if missing:
            reason = self.failures.get(missing[0], "the service said nothing of it")
            raise CheckFailed(
                f"{len(missing):,} of {len(pictures):,} images were not scored, the first is {missing[0]}: {reason}",
                hint="mend or take out those images, scan and upload again; or run it anew: --again",
            )


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else []


def _repeats(names: Sequence[Any]) -> bool:
    return len({str(name) for name in names}) != len(names)


def _are_probabilities(values: Sequence[Any]) -> bool:
    if not all(isinstance(value, float | int) and not isinstance(value, bool) for value in values):
        return False
    inside = all(-OUTSIDE <= value <= 1 + OUTSIDE for value in values)  # False for NaN
    return inside and abs(sum(values) - 1) <= SUM_TOLERANCE


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
