"""Published figures: what can be, what cannot, and what it must have been."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cxr.compare.figures.check import check_figures
from cxr.compare.figures.document import read_figures
from cxr.compare.figures.stated import stated
from cxr.errors import InputError

EXAMPLE = Path(__file__).parents[2] / "docs" / "figures.toml"
OFFICIAL = "support = { NORMAL = 234, PNEUMONIA = 390 }\n"


@pytest.fixture
def checked(tmp_path):
    """Check a file's text: its findings."""

    def check(text: str):
        path = tmp_path / "figures.toml"
        path.write_text(text, encoding="utf-8")
        return check_figures(read_figures(path))

    return check


def share(value: str, of: int, count: int | None = None) -> str:
    return f"[[share]]\nname = 'it'\nvalue = {value}\nof = {of}\n" + (f"count = {count}\n" if count is not None else "")


def report(figures: str, support: str = OFFICIAL) -> str:
    return f"[[report]]\nname = 'it'\n{support}{figures}"


def test_the_example_has_the_published_counts_and_the_only_matrix_that_fits():
    automl, majority, net = check_figures(read_figures(EXAMPLE))
    assert automl.counts == (497,)
    assert majority.counts == (390,)
    assert net.matrices == (((182, 52), (9, 381)),)
    assert net.solutions == 1
    assert all(finding.consistent for finding in (automl, majority, net))


def test_a_percentage_that_no_count_gives_cannot_be(checked):
    (finding,) = checked(share('"93.2 %"', 390))
    assert finding.consistent is False
    assert "363 of 390 is 93.1 % and 364 of 390 is 93.3 %" in finding.message


@pytest.mark.parametrize(
    ("value", "of", "count", "consistent"),
    [
        ("0.9", 10, None, True),
        ("0.95", 10, None, False),
        ('"95 %"', 10, None, False),
        ('"95 %"', 624, None, True),
        ('"95.76 %"', 519, 496, False),
        ("1.0", 7, 7, True),
        ('"12.5 %"', 8, 1, True),
        ('"0 %"', 1000, 3, True),
    ],
)
def test_shares(checked, value, of, count, consistent):
    assert checked(share(value, of, count))[0].consistent is consistent


@settings(max_examples=200)
@given(st.integers(1, 700), st.data(), st.integers(0, 4), st.booleans())
def test_what_was_counted_is_never_called_impossible(of, data, decimals, is_percent):
    count = data.draw(st.integers(0, of))
    number = (100 if is_percent else 1) * count / of
    text = f"{number:.{decimals}f}" + (" %" if is_percent else "")
    assert count in stated(text, "here").counts(of)


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 25), st.integers(2, 25), st.data())
def test_the_true_matrix_is_always_among_those_that_fit(negatives, positives, data):
    cleared, found = data.draw(st.integers(0, negatives)), data.draw(st.integers(0, positives))
    called = found + negatives - cleared
    figures = f"sensitivity = {found / positives:.2f}\naccuracy = {(cleared + found) / (negatives + positives):.3f}\n"
    figures += f"ppv = {found / called:.2f}\n" if called else ""
    least = cleared / negatives * found / positives
    most = 1 - (1 - cleared / negatives) * (1 - found / positives)
    area = round(data.draw(st.floats(0, 1)) * (most - least) * negatives * positives) / (negatives * positives) + least
    figures += f"auc = {area:.4f}\n"
    path = Path(data.draw(st.just("figures.toml")))
    text = report(figures, f"support = {{ N = {negatives}, P = {positives} }}\n")
    found_in = _check_text(text, path.name)
    assert found_in.consistent is True
    assert found_in.solutions >= 1


def _check_text(text: str, name: str):
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_text(text, encoding="utf-8")
        return check_figures(read_figures(path))[0]


def test_the_figure_that_does_not_belong_is_named(checked):
    (finding,) = checked(
        report("accuracy = '95.22 %'\nrecall = { NORMAL = 0.78, PNEUMONIA = 0.98 }\nprecision = { NORMAL = 0.95 }\n")
    )
    assert finding.consistent is False
    assert finding.message.endswith("they would fit without accuracy")


def test_an_area_that_no_curve_through_the_operating_point_has_cannot_be(checked):
    assert checked(report("sensitivity = 0.977\nspecificity = 0.778\nauc = 0.76\n"))[0].consistent is True
    assert checked(report("sensitivity = 0.977\nspecificity = 0.778\nauc = 0.75\n"))[0].consistent is False
    assert checked(report("sensitivity = 0.977\nspecificity = 0.778\nauc = 0.998\n"))[0].consistent is False
    # Two and three images: the area is a whole number of twelfths.
    few = "support = { N = 2, P = 3 }\n"
    assert checked(report("auc = 0.917\n", few))[0].consistent is True
    assert checked(report("auc = 0.90\n", few))[0].consistent is False


def test_a_printed_matrix_is_held_against_the_other_figures(checked):
    matrix = "confusion = [[182, 52], [9, 381]]\n"
    assert checked(report(matrix + "accuracy = '90.22 %'\nauc = 0.95\n"))[0].consistent is True
    (wrong,) = checked(report(matrix + "accuracy = '91.22 %'\nf1 = { NORMAL = 0.86 }\nauc = 0.999\n"))
    assert wrong.consistent is False
    assert "accuracy is 90.22 % by the matrix, not 91.22 %" in wrong.message
    assert "AUC of 0.999 is impossible" in wrong.message
    assert "f1" not in wrong.message
    (short,) = checked(report("confusion = [[182, 50], [9, 381]]\n"))
    assert "232 images of NORMAL in the matrix, 234 in the support" in short.message


def test_three_classes(checked):
    support = "support = { NORMAL = 234, BACTERIAL = 242, VIRAL = 148 }\n"
    matrix = np.array([[200, 20, 14], [5, 230, 7], [10, 28, 110]])
    names, total = ("NORMAL", "BACTERIAL", "VIRAL"), matrix.sum()
    recall = ", ".join(f"{name} = {matrix[i, i] / matrix[i].sum():.2f}" for i, name in enumerate(names))
    precision = ", ".join(f"{name} = {matrix[i, i] / matrix[:, i].sum():.2f}" for i, name in enumerate(names))
    both = f"recall = {{ {recall} }}\nprecision = {{ {precision} }}\n"
    assert checked(report(f"{both}accuracy = {matrix.trace() / total:.3f}\n", support))[0].consistent is True
    assert checked(report(f"{both}accuracy = {matrix.trace() / total + 0.02:.3f}\n", support))[0].consistent is False
    printed = f"confusion = {matrix.tolist()}\n{both}balanced_accuracy = 0.85\n"
    assert checked(report(printed, support))[0].consistent is True


THREE = "support = { NORMAL = 234, BACTERIAL = 242, VIRAL = 148 }\n"


def test_with_three_classes_the_balanced_accuracy_is_the_mean_recall(checked):
    recall = "recall = { NORMAL = 0.85, BACTERIAL = 0.95, VIRAL = 0.74 }\n"
    assert checked(report(f"{recall}balanced_accuracy = 0.847\n", THREE))[0].consistent is True
    (wrong,) = checked(report(f"{recall}balanced_accuracy = 0.90\n", THREE))
    assert wrong.consistent is False
    assert "without balanced accuracy" in wrong.message
    # All recalls and the accuracy can be, and the mean recall can be with each of them, but not with both.
    few = "support = { A = 10, B = 20, C = 40 }\nrecall = { A = 1.0 }\naccuracy = 0.9\n"
    assert checked(report("", few))[0].consistent is True
    assert checked(report("balanced_accuracy = 0.90\n", few))[0].consistent is True
    assert checked(report("balanced_accuracy = 0.99\n", few))[0].consistent is False


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.integers(0, 4), min_size=3, max_size=3), min_size=3, max_size=3), st.integers(2, 3))
def test_the_balanced_accuracy_of_a_matrix_of_three_classes_is_never_called_impossible(matrix, decimals):
    rows = [sum(row) for row in matrix]
    assume(all(rows))
    mean = sum((Fraction(matrix[n][n], rows[n]) for n in range(3)), Fraction(0)) / 3
    right = Fraction(sum(matrix[n][n] for n in range(3)), sum(rows))
    figures = f"balanced_accuracy = {float(mean):.{decimals}f}\naccuracy = {float(right):.{decimals}f}\n"
    support = f"support = {{ A = {rows[0]}, B = {rows[1]}, C = {rows[2]} }}\n"
    assert _check_text(report(figures, support), "figures.toml").consistent is True


def test_a_mean_recall_that_makes_too_many_candidates_is_said_not_to_be_decided(checked, monkeypatch):
    monkeypatch.setattr("cxr.compare.figures.matrices.MAX_CANDIDATES", 20_000)
    few = "support = { A = 13, B = 17, C = 19 }\n"
    (finding,) = checked(report("balanced_accuracy = 0.9\naccuracy = 0.9\n", few))
    assert finding.consistent is None
    assert "not decided" in finding.message
    # What cannot be whatever the mean recall is needs no such search.
    impossible = "recall = { A = 0.92, B = 0.94, C = 0.95 }\nprecision = { A = 0.10 }\nbalanced_accuracy = 0.94\n"
    assert checked(report(impossible, few))[0].consistent is False


def test_too_many_candidates_are_said_not_to_be_decided(checked):
    (finding,) = checked(report("accuracy = 0.9\n", "support = { N = 900000, P = 900000 }\n"))
    assert finding.consistent is None
    assert "not decided" in finding.message


def test_decimals_are_taken_as_written():
    from decimal import Decimal

    assert stated(Decimal("0.90"), "").low == Fraction(895, 1000)
    assert stated(Decimal("0.9"), "").low == Fraction(85, 100)
    assert stated("90 %", "").high == Fraction(905, 1000)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "it is empty"),
        ("[[figure]]\n", "figure is unknown"),
        ("[share]\nname = 'it'\n", "two brackets"),
        ("[[share]]\nname = 'it'\nof = 4\n", "share 'it': value is missing"),
        (share("93.2", 390), "93.2 is not between 0 and 1"),
        (share("'many'", 390), "'many' is no share"),
        (share("true", 390), "True is no share"),
        (share("0.12345678", 390), "at most 6 decimals"),
        (share("0.5", 0), "0 is no number of images"),
        (report("sensitivty = 0.9\n"), "sensitivty is unknown"),
        (report("recall = 0.9\n"), "recall is one value a class"),
        (report("recall = { COVID = 0.9 }\n"), "recall of 'COVID'"),
        (report("positive = 'COVID'\n"), "positive = 'COVID'"),
        (report("sensitivity = 0.9\nrecall = { PNEUMONIA = 0.9 }\n"), "which is there too"),
        (report("confusion = [[1, 2]]\n"), "2 rows of 2 numbers"),
        (report("auc = 0.9\n", "support = { A = 1, B = 2, C = 3 }\n"), "auc is for two classes"),
        (report("ppv = 0.9\n", "support = { A = 1, B = 2, C = 3 }\n"), "ppv is for two classes"),
        (report("", "support = { A = 1 }\n"), "support names the images of each class"),
        ("not toml", "cannot read"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(checked, text, said):
    with pytest.raises(InputError) as raised:
        checked(text)
    assert said in raised.value.message
