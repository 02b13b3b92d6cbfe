"""The synthetic set: named and split as the release, the same for a seed, and not solved by a shortcut."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from cxr.errors import Fault, InputError, UsageError
from cxr.manifests.check import check
from cxr.manifests.manifest import Manifest
from cxr.manifests.patients.keys import overlaps, patient_of
from cxr.manifests.sample import draw_sample
from cxr.manifests.sample.cast import cast
from cxr.manifests.sample.draw import draw_image
from cxr.manifests.scan.folder import scan


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sample of 160 images."""
    folder = tmp_path_factory.mktemp("sample")
    draw_sample(folder, images=160, seed=3)
    return folder


@pytest.fixture(scope="module")
def drawn(folder: Path) -> Manifest:
    """The sample's manifest."""
    return scan(folder)


def test_a_sample_scans_without_a_problem_and_checks_without_an_error(drawn: Manifest) -> None:
    assert drawn.header.images == 160
    assert drawn.header.problems == ()
    assert drawn.header.counts["validation"] == {"NORMAL": 8, "PNEUMONIA": 8}
    assert check(drawn).ok


@pytest.mark.parametrize("images", [40, 41, 100, 600, 1501])
def test_the_cast_has_the_releases_proportions_and_numbers_patients_like_it(images: int) -> None:
    exposures = cast(images, 7)
    names = [exposure.name for exposure in exposures]
    assert len(set(names)) == images
    assert all(patient_of(name).known for name in names)
    train, test = ([name for name in names if name.startswith(split)] for split in ("train", "test"))
    normal = sum("/NORMAL/" in name for name in train) / len(train)
    assert abs(normal - 0.257) < 0.03
    splits = {"train": train, "test": test}
    assert overlaps(splits, "etiology+number")[0].shared == ()
    if images >= 600:
        assert abs(sum("/NORMAL/" in name for name in test) / len(test) - 0.375) < 0.03
        assert len(overlaps(splits, "number")[0].shared) > 10
        patients = [patient_of(name).key for name in train if "person" in name]
        assert len(set(patients)) < 0.8 * len(patients)


def test_images_are_grey_jpegs_of_varying_size_that_say_they_are_synthetic(drawn: Manifest) -> None:
    assert drawn.frame["width"].between(240, 360).all()
    assert drawn.frame["width"].nunique() > 30
    assert (drawn.frame["width"] != drawn.frame["height"]).all()
    with Image.open(drawn.root / drawn.frame["path"].iloc[0]) as image:
        assert image.mode == "L"
        assert b"SYNTHETIC" in image.info["comment"]


def test_the_same_seed_gives_the_same_bytes_in_any_process(folder: Path) -> None:
    for exposure in cast(160, 3)[::40]:
        assert (folder / exposure.name).read_bytes() == draw_image(exposure)
    assert draw_image(cast(160, 4)[0]) != draw_image(cast(160, 3)[0])


def test_neither_size_nor_bytes_nor_brightness_give_the_label_away(drawn: Manifest) -> None:
    ill = (drawn.frame["label"] == "PNEUMONIA").to_numpy()
    images = [np.asarray(Image.open(drawn.root / path), dtype=np.float64) for path in drawn.frame["path"]]
    shortcuts = {
        "bytes": drawn.frame["size"].to_numpy(),
        "bytes a pixel": (drawn.frame["size"] / (drawn.frame["width"] * drawn.frame["height"])).to_numpy(),
        "width": drawn.frame["width"].to_numpy(),
        "aspect": (drawn.frame["width"] / drawn.frame["height"]).to_numpy(),
        "brightness": np.array([image.mean() for image in images]),
        "contrast": np.array([image.std() for image in images]),
    }
    for name, values in shortcuts.items():
        auc = (values[ill][:, None] > values[~ill][None, :]).mean()
        assert 0.3 < auc < 0.7, name


def test_a_thumbnail_classifier_learns_something_but_does_not_solve_it(drawn: Manifest) -> None:
    ill = (drawn.frame["label"] == "PNEUMONIA").to_numpy()
    is_test = (drawn.frame["split"] == "test").to_numpy()
    pixels = np.stack([_thumbnail(drawn.root / path) for path in drawn.frame["path"]])
    pixels -= pixels[~is_test].mean(axis=0)
    # Ridge regression: the closed form of a linear classifier on 32x32 pixels.
    train = pixels[~is_test]
    gram = train @ train.T + 30.0 * np.eye(len(train))
    weights = train.T @ np.linalg.solve(gram, ill[~is_test] - ill[~is_test].mean())
    scores = pixels[is_test] @ weights
    auc = (scores[ill[is_test]][:, None] > scores[~ill[is_test]][None, :]).mean()
    assert auc < 0.95


def _thumbnail(path: Path) -> np.ndarray:
    with Image.open(io.BytesIO(path.read_bytes())) as image:
        return np.asarray(image.resize((32, 32), Image.Resampling.BOX), dtype=np.float64).ravel() / 255


def test_a_worker_that_is_killed_is_a_fault_that_says_so(tmp_path: Path) -> None:
    others = {child.pid for child in psutil.Process().children()}
    killed: list[psutil.Process] = []

    def kill_one(done: int, total: int, note: str) -> None:
        if not killed:  # what was drawn before is still told after it
            children = psutil.Process().children()
            killed.extend(child for child in children if child.pid not in others and _draws(child))
            killed[0].kill()

    with pytest.raises(Fault, match="was killed"):
        draw_sample(tmp_path, images=4000, on_progress=kill_one)  # so many that no machine has drawn them all by then


def _draws(process: psutil.Process) -> bool:
    try:
        return "spawn_main" in " ".join(process.cmdline())
    except psutil.Error:  # it has ended: another test's
        return False


def test_too_few_images_are_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="too few"):
        draw_sample(tmp_path, images=10)


def test_a_file_in_place_of_the_folder_is_bad_input(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x")
    with pytest.raises(InputError, match="is a file"):
        draw_sample(tmp_path / "x", images=40)
