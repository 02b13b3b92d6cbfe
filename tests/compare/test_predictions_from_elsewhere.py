"""A CSV of another program's scores becomes predictions that are judged like all others, or is refused by line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxr.bundle import ModelFormat, Origin, Threshold, read_bundle
from cxr.compare.predictions.bundle import Answers, write_answers
from cxr.compare.predictions.elsewhere import few_to_choose_on, probabilities_for, read_score_table, threshold_of
from cxr.compare.predictions.table import predict
from cxr.errors import InputError
from cxr.manifests.manifest import BLANK_ROW, Manifest, ManifestHeader, new_manifest

CLASSES = ("NORMAL", "PNEUMONIA")


def _manifest(names: dict[str, str] | None = None) -> Manifest:
    """Path -> split; the folder above the file is the label."""
    names = names or {
        f"{split}/{label}/{label.lower()}-{number}.jpeg": split
        for split in ("train", "validation", "test")
        for label in CLASSES
        for number in range(3)
    }
    rows = [
        BLANK_ROW | {"path": path, "label": path.split("/")[-2], "patient": path, "split": split, "sha256": f"{n:064x}"}
        for n, (path, split) in enumerate(names.items())
    ]
    return new_manifest(pd.DataFrame(rows), ManifestHeader(root="."), Path("m.csv"))


def _table(tmp_path: Path, text: str):
    path = tmp_path / "scores.csv"
    path.write_text(text, encoding="utf-8")
    return read_score_table(path, CLASSES, "PNEUMONIA")


def _test_rows(header: str, manifest: Manifest, cells) -> str:
    paths = manifest.split("test")["path"]
    return "\n".join([header, *(f"{path},{cells(path)}" for path in paths)]) + "\n"


@pytest.mark.parametrize("header", ["path,score", "image,p_PNEUMONIA", "Filename,pneumonia", "file,probability"])
def test_one_column_is_the_positive_class(tmp_path, header):
    manifest = _manifest()
    table = _table(tmp_path, _test_rows(header, manifest, lambda path: 0.75 if "PNEUMONIA" in path else 0.125))
    made = probabilities_for(table, manifest, "test")
    expected = [[0.25, 0.75] if "PNEUMONIA" in path else [0.875, 0.125] for path in manifest.split("test")["path"]]
    assert made.tolist() == expected


def test_a_column_for_each_class_in_any_order(tmp_path):
    manifest = _manifest()
    table = _table(tmp_path, _test_rows("path,p_PNEUMONIA,p_NORMAL", manifest, lambda _: "0.75,0.25"))
    assert probabilities_for(table, manifest, "test").tolist() == [[0.25, 0.75]] * 6


def test_images_are_found_by_the_end_of_their_path(tmp_path):
    paths = ["a/test/NORMAL/x.jpeg", "a/test/PNEUMONIA/y.jpeg", "a/train/PNEUMONIA/x.jpeg"]
    manifest = _manifest(dict(zip(paths, ["test", "test", "train"], strict=True)))
    text = "path,score\nC:\\scan\\a\\test\\NORMAL\\x.jpeg,0.1\nPNEUMONIA/y.jpeg,0.9\n"
    assert probabilities_for(_table(tmp_path, text), manifest, "test")[:, 1].tolist() == [0.1, 0.9]


def test_a_name_that_fits_two_images_is_refused(tmp_path):
    paths = ["test/NORMAL/x.jpeg", "test/PNEUMONIA/x.jpeg"]
    manifest = _manifest(dict.fromkeys(paths, "test"))
    with pytest.raises(InputError, match=r"line 2: x\.jpeg could be test/NORMAL/x\.jpeg or test/PNEUMONIA/x\.jpeg"):
        probabilities_for(_table(tmp_path, "path,score\nx.jpeg,0.5\n"), manifest, "test")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("path,score\na.jpeg,0.5\na.jpeg,0.6\n", "line 3: a.jpeg has other scores than in line 2"),
        ("path,score\na.jpeg,95\n", "line 2, score: 95 is no probability"),
        ("path,score\na.jpeg,\n", "line 2, score: nothing is no probability"),
        ("path,score\na.jpeg,nan\n", "nan is no probability"),
        ("path,score\na.jpeg,0.5,0.5\n", "line 2: 3 cells, the header has 2"),
        ("path,score\n", "no rows"),
        ("", "no column names the images"),
        ("path,image,score\n", "several columns"),
        ("path,p_NORMAL\na,0.5\n", "needs the columns score"),
        ("path,score,p_PNEUMONIA\na,0.5,0.5\n", "both score and columns of classes"),
        ("path,PNEUMONIA,p_PNEUMONIA\na,0.5,0.5\n", "both name PNEUMONIA"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_place(tmp_path, text, words):
    with pytest.raises(InputError) as error:
        _table(tmp_path, text)
    assert words in error.value.message


def test_a_missing_image_is_named_and_none_may_be_left_out(tmp_path):
    manifest = _manifest()
    text = "\n".join(_test_rows("path,score", manifest, lambda _: 0.5).splitlines()[:-1])
    with pytest.raises(InputError, match=r"no score for 1 of 6 test images, first test/PNEUMONIA/pneumonia-2\.jpeg"):
        probabilities_for(_table(tmp_path, text), manifest, "test")


def test_probabilities_that_do_not_add_up_are_refused(tmp_path):
    manifest = _manifest()
    table = _table(tmp_path, _test_rows("path,p_NORMAL,p_PNEUMONIA", manifest, lambda _: "0.9,0.9"))
    with pytest.raises(InputError, match=r"line 2: the classes' probabilities add up to 1\.800"):
        probabilities_for(table, manifest, "test")


def test_the_threshold_comes_from_validation_where_it_was_scored_and_never_from_test(tmp_path):
    manifest = _manifest()

    def score(path: str) -> float:
        # Cut best at 0.2 in validation, at 0.6 in test.
        edge = 0.3 if path.startswith("validation") else 0.7
        return edge if "PNEUMONIA" in path else edge - 0.2

    text = "\n".join(["path,score", *(f"{path},{score(path)}" for path in manifest.frame["path"])])
    chosen = threshold_of(_table(tmp_path, text), manifest, None)
    assert (chosen.value, chosen.chosen_on) == (pytest.approx(0.2), "validation")
    assert chosen.chosen_by == "max-youden of 6 images"
    assert "3 validation images of PNEUMONIA and 3 others" in few_to_choose_on(chosen, manifest)
    only_test = _table(tmp_path, _test_rows("path,score", manifest, score))
    assert few_to_choose_on(threshold_of(only_test, manifest, None), manifest) == ""
    assert threshold_of(only_test, manifest, None).value == 0.5
    assert threshold_of(only_test, manifest, 0.4).value == 0.4
    torn = _table(tmp_path, "\n".join(line for line in text.splitlines() if "validation/NORMAL/normal-1" not in line))
    with pytest.raises(InputError, match="no score for 1 of 6 validation images"):
        threshold_of(torn, manifest, None)


def test_as_a_bundle_they_are_taken_as_they_are(tmp_path):
    manifest = _manifest()
    probabilities = np.linspace(0, 1, 6)
    columns = np.stack([1 - probabilities, probabilities], axis=1)
    threshold = threshold_of(_table(tmp_path, "path,score\na,0.5\n"), manifest, None)
    answers = Answers("theirs", Origin.IMPORTED, "test", CLASSES, columns, threshold)
    write_answers(tmp_path / "theirs", manifest, answers)
    bundle = read_bundle(tmp_path / "theirs")
    assert bundle.info.format is ModelFormat.PREDICTIONS
    held = predict(bundle, manifest, cache_dir=tmp_path / "cache", on_progress=lambda *_: None)
    assert held.probabilities(CLASSES).tolist() == columns.tolist()


def test_a_threshold_from_many_images_needs_no_word():
    names = {f"validation/{label}/{n}.png": "validation" for label in CLASSES for n in range(20)}
    manifest = _manifest(names | {f"test/{label}/x.png": "test" for label in CLASSES})
    assert few_to_choose_on(Threshold(0.5, "max-youden of 40 images", "validation"), manifest) == ""


@given(st.text(max_size=300))
def test_any_text_is_read_or_refused(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("fuzz") / "scores.csv"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        table = read_score_table(path, CLASSES, "PNEUMONIA")
    except InputError:
        return
    assert table.rows


def test_an_endless_cell_is_refused_by_line(tmp_path):
    with pytest.raises(InputError, match=r"scores\.csv, line 2: this is no CSV"):
        _table(tmp_path, "path,score\n" + "a" * 140_000 + ",0.5\n")
    with pytest.raises(InputError, match="this is no CSV"):
        _table(tmp_path, "a" * 140_000 + "\n")


@pytest.mark.parametrize(("separator", "name"), [(";", "semicolons"), ("\t", "tabs")])
def test_other_separators_are_told_of(tmp_path, separator, name):
    with pytest.raises(InputError) as raised:
        _table(tmp_path, f"path{separator}score\na.jpeg{separator}0.5\n")
    assert f"separated by {name}" in raised.value.hint
