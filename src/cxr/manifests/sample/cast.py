"""Who appears in the sample: names, patients, labels and splits, in the manner of the Kermany release.

Bacterial and viral patients are numbered apart, so a plain number may occur in train and in test, an
(etiology, number) never.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from cxr.errors import UsageError

Kind = Literal["normal", "bacterial", "viral"]

MIN_IMAGES: Final = 40
TEST_SHARE: Final = 0.22
#: Share of NORMAL, and of bacterial among pneumonia, by split: those of the published release.
NORMAL_SHARE: Final = {"train": 0.257, "test": 0.375}
BACTERIAL_SHARE: Final = {"train": 0.653, "val": 1.0, "test": 0.621}
WORDS: Final = {"bacterial": "bacteria", "viral": "virus"}


@dataclass(frozen=True, slots=True)
class Exposure:
    """One image to draw, `name` relative to the sample's folder.

    `patient_seed` makes the anatomy, `image_seed` the rest.
    """

    name: str
    kind: Kind
    patient_seed: int
    image_seed: int


@dataclass(slots=True)
class _Counters:
    patients: int = 0
    images: int = 0


def cast(images: int, seed: int) -> list[Exposure]:
    """The list of images to draw, in the order of their names.

    Raises UsageError for fewer than MIN_IMAGES images: no split of them would have enough of each label.
    """
    if images < MIN_IMAGES:
        raise UsageError(
            f"{images} images are too few for a sample", hint=f"ask for {MIN_IMAGES} or more: --images 600"
        )
    rng = np.random.default_rng([seed, images])
    val_each = 8 if images >= 160 else 2
    test = round(TEST_SHARE * images)
    train = images - 2 * val_each - test
    normal = {split: round(NORMAL_SHARE[split] * count) for split, count in (("train", train), ("test", test))}
    normal["val"] = val_each
    pneumonia = {"train": train - normal["train"], "test": test - normal["test"], "val": val_each}
    bacterial = {split: round(BACTERIAL_SHARE[split] * count) for split, count in pneumonia.items()}
    exposures: list[Exposure] = []
    normals: dict[str, _Counters] = {"IM": _Counters(), "NORMAL2-IM": _Counters()}
    etiologies: dict[str, _Counters] = {"bacterial": _Counters(), "viral": _Counters()}
    # The bacterial counter begins in test and the viral one in train, so that plain numbers overlap as in the release.
    for split in ("test", "train", "val"):
        exposures += _normals(split, normal[split], normals, rng)
        exposures += _ill(split, "bacterial", bacterial[split], etiologies["bacterial"], rng)
    for split in ("train", "val", "test"):
        exposures += _ill(split, "viral", pneumonia[split] - bacterial[split], etiologies["viral"], rng)
    return sorted(exposures, key=lambda exposure: exposure.name)


def _normals(split: str, count: int, counters: dict[str, _Counters], rng: np.random.Generator) -> list[Exposure]:
    made: list[Exposure] = []
    while len(made) < count:
        prefix = "IM" if rng.random() < 0.4 else "NORMAL2-IM"
        counters[prefix].patients += int(rng.integers(1, 4))
        number, patient_seed = counters[prefix].patients, _seed(rng)
        views = min(int(rng.choice([1, 2, 3], p=[0.85, 0.12, 0.03])), count - len(made))
        for view in range(1, views + 1):
            tail = f"-{view:04d}" if views > 1 else ""
            name = f"{split}/NORMAL/{prefix}-{number:04d}-0001{tail}.jpeg"
            made.append(Exposure(name, "normal", patient_seed, _seed(rng)))
    return made


def _ill(split: str, kind: Kind, count: int, counter: _Counters, rng: np.random.Generator) -> list[Exposure]:
    made: list[Exposure] = []
    while len(made) < count:
        counter.patients += int(rng.integers(1, 3))
        patient_seed = _seed(rng)
        for _ in range(min(int(rng.choice([1, 2, 3, 4], p=[0.5, 0.28, 0.14, 0.08])), count - len(made))):
            counter.images += 1
            name = f"{split}/PNEUMONIA/person{counter.patients}_{WORDS[kind]}_{counter.images}.jpeg"
            made.append(Exposure(name, kind, patient_seed, _seed(rng)))
    return made


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(0, 2**62))
