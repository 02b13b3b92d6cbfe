"""The shortcut probe: what the file's outside and a thumbnail tell, measured without fooling itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from manifest_rows import manifest_of, row

from cxr.manifests.check import check
from cxr.manifests.check.looks import Looks
from cxr.manifests.check.shortcuts import ASPECT_RATIO, BYTE_COUNT, THUMBNAIL, Shortcut, auc, probe_shortcuts
from cxr.manifests.manifest import Manifest
from cxr.manifests.scan.folder import scan

pytest.importorskip("sklearn", reason="the probe of thumbnails needs the extra 'data'")

SPLITS = ["train"] * 120 + ["test"] * 80


def _manifest(**columns: object) -> Manifest:
    """200 images, NORMAL and PNEUMONIA in turn; a column may be a function of (number, is_pneumonia)."""
    rows = []
    for number, split in enumerate(SPLITS):
        label = ("NORMAL", "PNEUMONIA")[number % 2]
        values = {name: value(number, number % 2 == 1) for name, value in columns.items()}  # type: ignore[operator]
        rows.append(row(f"{split}/{label}/{number:03}.jpeg", label, split=split, **values))
    return manifest_of(rows, near_duplicates=True)


def _shortcut(manifest: Manifest, name: str, looks: Looks | None = None) -> Shortcut:
    probe = probe_shortcuts(manifest, looks)
    assert probe is not None
    return next(one for one in probe.shortcuts if one.name == name)


def _looks(manifest: Manifest, brightness: np.ndarray) -> Looks:
    noise = np.random.default_rng(0).integers(0, 60, (len(manifest.frame), 32, 32))
    pixels = (noise + brightness[:, None, None]).astype(np.uint8)
    count = len(pixels)
    return Looks(np.arange(count), pixels, np.full((count, 64), 1 / 64, np.float32), count, count)


@given(
    st.lists(st.tuples(st.integers(-5, 5), st.booleans()), min_size=2, max_size=40).filter(
        lambda pairs: len({truth for _, truth in pairs}) == 2
    )
)
def test_auc_is_the_share_of_pairs_in_the_right_order(pairs: list[tuple[int, bool]]) -> None:
    from sklearn.metrics import roc_auc_score

    scores, truths = np.array([score for score, _ in pairs], float), np.array([truth for _, truth in pairs])
    counted = np.mean([(p > n) + 0.5 * (p == n) for p in scores[truths] for n in scores[~truths]])
    assert auc(scores, truths) == pytest.approx(counted)
    assert auc(scores, truths) == pytest.approx(roc_auc_score(truths, scores))


def test_auc_of_one_class_is_not_a_number() -> None:
    assert np.isnan(auc(np.array([1.0, 2.0]), np.array([True, True])))


def test_a_byte_count_that_tells_the_label_is_found_with_its_direction() -> None:
    found = _shortcut(_manifest(size=lambda n, sick: 5000 + n - 1000 * sick), BYTE_COUNT)
    assert (found.test_auc, found.train_auc, found.tells) == (1.0, 1.0, "smaller files")


def test_the_direction_is_learned_on_train_so_a_turned_test_is_below_chance() -> None:
    found = _shortcut(_manifest(size=lambda n, sick: 5000 + (1000 if sick == (n < 120) else 0)), BYTE_COUNT)
    assert (found.test_auc, found.train_auc, found.tells) == (0.0, 1.0, "larger files")


def test_sizes_that_tell_nothing_are_near_chance() -> None:
    sizes = np.random.default_rng(3).integers(4000, 9000, 200)
    found = _shortcut(_manifest(size=lambda n, sick: int(sizes[n])), BYTE_COUNT)
    assert found.test_auc == pytest.approx(0.5, abs=0.2)
    assert found.train_auc == pytest.approx(0.5, abs=0.2)


def test_the_aspect_ratio_is_probed_and_left_out_where_it_is_not_known() -> None:
    found = _shortcut(_manifest(width=lambda n, sick: 300 + 50 * sick), ASPECT_RATIO)
    assert (found.test_auc, found.tells) == (1.0, "wider images")
    probe = probe_shortcuts(_manifest(width=lambda n, sick: 0, height=lambda n, sick: 0))
    assert probe is not None
    assert [one.name for one in probe.shortcuts] == [BYTE_COUNT]
    assert probe.left_out[0] == "aspect ratio: not known of every image"


@pytest.mark.parametrize(("each", "judges"), [(2, False), (9, False), (10, True)])
def test_a_test_split_with_few_images_of_either_side_does_not_judge_and_that_is_said(each: int, judges: bool) -> None:
    rows = [
        row(f"train/{label}/{n}.jpeg", label, size=5000 + n) for n in range(60) for label in ("NORMAL", "PNEUMONIA")
    ]
    rows += [row(f"test/NORMAL/{n}.jpeg", "NORMAL", split="test", size=4000) for n in range(40)]
    rows += [row(f"test/PNEUMONIA/{n}.jpeg", "PNEUMONIA", split="test", size=9000) for n in range(each)]
    probe = probe_shortcuts(manifest_of(rows))
    assert probe is not None
    found = probe.shortcuts[0]
    assert (found.test_auc is not None, found.judged_on) == (
        judges,
        "test" if judges else "5 folds of train, by patient",
    )
    words = f"test: {each} positive and 40 other images are too few to judge on, 10 of each are needed"
    assert any(reason.startswith(words) for reason in probe.left_out) == (not judges)


def test_the_folds_of_train_do_not_depend_on_what_is_in_test() -> None:
    """Six ill patients fill five folds, however many others test has."""
    generator = np.random.default_rng(11)
    sizes = generator.integers(4000, 9000, 400)
    train = [
        row(f"train/{label}/{n:03}.jpeg", label, size=int(sizes[n]) + 500 * (label == "PNEUMONIA"))
        for n, label in enumerate(["PNEUMONIA"] * 6 + ["NORMAL"] * 94)
    ]
    test = [
        row(f"test/{label}/{n:03}.jpeg", label, split="test", size=int(sizes[n]))
        for n, label in enumerate(["PNEUMONIA", "NORMAL"] * 100, start=100)
    ]
    alone = _shortcut(manifest_of(train), BYTE_COUNT)
    assert alone.train_auc is not None
    for more in (20, 47, 200):
        assert _shortcut(manifest_of(train + test[:more]), BYTE_COUNT).train_auc == alone.train_auc


def test_without_a_test_split_the_figure_is_of_train_by_patient_and_says_so() -> None:
    rows = [
        row(f"train/{label}/{n}.jpeg", label, size=5000 + 900 * (label == "PNEUMONIA"), patient=f"p{n % 30}")
        for n, label in enumerate(["NORMAL", "PNEUMONIA"] * 60)
    ]
    found = _shortcut(manifest_of(rows), BYTE_COUNT)
    assert (found.test_auc, found.train_auc, found.auc) == (None, 1.0, 1.0)
    assert found.judged_on == "5 folds of train, by patient"


def test_a_brightness_that_tells_the_label_is_found_by_the_thumbnail() -> None:
    manifest = _manifest()
    sick = (manifest.frame["label"] == "PNEUMONIA").to_numpy()
    found = _shortcut(manifest, THUMBNAIL, _looks(manifest, np.where(sick, 120, 80)))
    assert found.test_auc == pytest.approx(1.0)
    assert found.train_auc == pytest.approx(1.0)


def test_thumbnails_of_too_few_test_images_are_judged_in_the_folds_and_that_is_said() -> None:
    """Of huge data only some images are looked at: perhaps hardly any of test."""
    manifest = _manifest()
    seen = _looks(manifest, np.zeros(200))
    in_train = np.flatnonzero(manifest.frame["split"] == "train")
    rows = np.sort(np.concatenate([in_train, np.flatnonzero(manifest.frame["split"] == "test")[:9]]))
    probe = probe_shortcuts(manifest, Looks(rows, seen.thumbnails[rows], seen.greys[rows], len(rows), 200))
    assert probe is not None
    assert [one.test_auc is None for one in probe.shortcuts] == [False, False, True]
    assert [reason.partition(":")[0] for reason in probe.left_out] == ["32x32 thumbnail on test"]


def test_patients_recognised_by_their_thumbnail_do_not_help_in_the_folds() -> None:
    """Each patient has one picture, and one label drawn by lot: only a leak between the folds could tell."""
    generator = np.random.default_rng(5)
    patients = np.arange(400) // 8
    labels = generator.integers(0, 2, 50)[patients]
    rows = [
        row(f"train/{label}/{n:03}.jpeg", label, patient=f"p{patients[n]}")
        for n, label in enumerate(np.where(labels, "PNEUMONIA", "NORMAL"))
    ]
    manifest = manifest_of(rows)
    order = manifest.frame["path"].str.extract(r"([0-9]+)\.jpeg", expand=False).astype(int).to_numpy()
    faces = generator.integers(0, 255, (50, 32, 32)).astype(np.uint8)[patients[order]]
    looks = Looks(np.arange(400), faces, np.full((400, 64), 1 / 64, np.float32), 400, 400)
    found = _shortcut(manifest, THUMBNAIL, looks)
    assert found.train_auc is not None
    assert found.train_auc < 0.75


def test_one_class_in_train_leaves_nothing_to_probe() -> None:
    rows = [row(f"{split}/A/{n}.jpeg", "A", split=split) for n, split in enumerate(SPLITS)]
    assert probe_shortcuts(manifest_of(rows)) is None


def test_many_classes_are_probed_as_the_positive_one_against_the_rest() -> None:
    labels = ("NORMAL", "BACTERIAL", "VIRAL")
    rows = [
        row(f"train/{labels[n % 3]}/{n}.jpeg", labels[n % 3], size=4000 + 500 * (labels[n % 3] == "VIRAL"))
        for n in range(150)
    ]
    probe = probe_shortcuts(manifest_of(rows))
    assert probe is not None
    assert probe.positive_class == "VIRAL"
    assert probe.shortcuts[0].train_auc == 1.0


def test_the_check_says_the_floor_and_warns_of_a_glaring_one() -> None:
    report = check(_manifest(size=lambda n, sick: 5000 + n - 1000 * sick))
    floor = next(finding for finding in report.findings if finding.rule == "shortcut-floor")
    assert "the byte count alone tells PNEUMONIA with an AUC of 1.000 (test): a model must beat this" in floor.message
    assert "shortcut" in {finding.rule for finding in report.warnings}
    assert report.ok


def _warned(manifest: Manifest) -> str:
    (told,) = [finding.message for finding in check(manifest).warnings if finding.rule == "shortcut"]
    return told


def test_a_shortcut_that_is_turned_round_in_test_is_told_with_both_figures() -> None:
    told = _warned(_manifest(size=lambda n, sick: 5000 + (1000 if sick == (n < 120) else 0)))
    assert "AUC 0.000 (test), 1.000 (5 folds of train, by patient)" in told
    assert "test and train disagree, it is the other way round in test" in told


def test_a_shortcut_that_holds_in_train_alone_is_told() -> None:
    sizes = np.random.default_rng(3).integers(4000, 9000, 200)
    told = _warned(_manifest(size=lambda n, sick: 5000 + 1000 * sick if n < 120 else int(sizes[n])))
    assert "1.000 (5 folds of train, by patient); test and train disagree" in told


def test_figures_that_agree_are_not_called_different() -> None:
    told = _warned(_manifest(size=lambda n, sick: 5000 + n - 1000 * sick))
    assert "AUC 1.000 (test), 1.000 (5 folds of train, by patient): that is how the files were made" in told


def test_on_the_real_xrays_the_byte_count_tells_much(xrays: Path) -> None:
    """The images here are the release's train folder at 224 pixels, divided anew; the figures were measured on them.
    (On the official test the byte count of the originals reaches 0.834.)"""
    found = _shortcut(scan(xrays, decode=False, near_duplicates=False), BYTE_COUNT)
    assert found.test_auc == pytest.approx(0.923, abs=0.005)
    assert found.tells == "smaller files"
