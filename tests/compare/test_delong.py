"""DeLong's variances and test: against all pairs, against a published example, and in simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxr.compare.metrics.ranking import roc_auc
from cxr.compare.statistics.delong import AreaComponents, area_components, area_difference, covariance

#: Albumin, total protein, K-G score and outcome of the 43 patients without a missing value of the
#: ovarian cancer data of DeLong, DeLong and Clarke-Pearson 1988, as SAS/STAT's User's Guide prints them (PROC LOGISTIC,
#: "Comparing Receiver Operating Characteristic Curves").
OVARIAN = """
3.0 5.8 10 0  3.2 6.3  5 1  3.9 6.8  3 1  2.8 4.8  6 0  3.2 5.8  3 1  0.9 4.0  5 0  2.5 5.7  8 0  1.6 5.6  5 1
3.8 5.7  5 1  3.7 6.7  6 1  3.2 5.4  4 1  3.8 6.6  6 1  4.1 6.6  5 1  3.6 5.7  5 1  4.3 7.0  4 1  3.6 6.7  4 0
2.3 4.4  6 1  4.2 7.6  4 0  4.0 6.6  6 0  3.5 5.8  6 1  3.8 6.8  7 1  3.0 4.7  8 0  4.5 7.4  5 1  3.7 7.4  5 1
3.1 6.6  6 1  4.1 8.2  6 1  4.3 7.0  5 1  4.3 6.5  4 1  3.2 5.1  5 1  2.6 4.7  6 1  3.3 6.8  6 0  1.7 4.0  7 0
3.7 6.1  5 1  3.3 6.3  7 1  4.2 7.7  6 1  3.5 6.2  5 1  2.9 5.7  9 0  2.1 4.8  7 1  2.8 6.2  8 0  4.0 7.0  7 1
3.3 5.7  6 1  3.7 6.9  5 1  3.6 6.6  5 1
"""

CASES = st.lists(
    st.tuples(st.booleans(), st.integers(0, 5), st.integers(0, 5), st.integers(0, 5)), min_size=6, max_size=30
)


def of_areas(components: AreaComponents) -> np.ndarray:
    """The areas' covariance matrix."""
    return covariance(components, np.eye(len(components.areas)))


def arrays(rows: list[tuple[bool, int, int, int]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([row[0] for row in rows]), np.array([row[1:] for row in rows], dtype=float).T


def wins(positive: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Positives by negatives: 1 where the positive scores higher, one half where they tie."""
    above, below = score[positive][:, None], score[~positive][None]
    return (above > below) + 0.5 * (above == below)


def covariance_by_pairs(positive: np.ndarray, scores: np.ndarray) -> np.ndarray:
    tables = [wins(positive, score) for score in scores]
    return (
        np.cov([table.mean(axis=1) for table in tables]) / positive.sum()
        + np.cov([table.mean(axis=0) for table in tables]) / (~positive).sum()
    )


@settings(max_examples=60)
@given(CASES)
def test_midranks_give_what_all_pairs_give(rows):
    positive, scores = arrays(rows)
    if min(positive.sum(), (~positive).sum()) < 2:
        return
    components = area_components(positive, scores)
    assert components.areas == pytest.approx([wins(positive, score).mean() for score in scores])
    assert components.areas == pytest.approx([float(roc_auc(positive, score)) for score in scores])
    assert of_areas(components) == pytest.approx(covariance_by_pairs(positive, scores), abs=1e-12)


def test_the_published_example_of_delong_and_others():
    # Published there: areas 0.7366, 0.7258, 0.6478 with standard errors 0.0927, 0.1028, 0.1000; albumin less K-G
    # 0.0108 (0.0953), p 0.9102; total protein less K-G -0.0780 (0.1046), p 0.4561; both at once chi-square 2.5340.
    values = np.array(OVARIAN.split(), dtype=float).reshape(-1, 4)
    assert len(values) == 43
    scores = np.stack([values[:, 0], 10 - values[:, 2], values[:, 1]])
    components = area_components(values[:, 3] == 1, scores)
    assert components.areas.round(4).tolist() == [0.7366, 0.7258, 0.6478]
    assert np.sqrt(np.diag(of_areas(components))).round(4).tolist() == [0.0927, 0.1028, 0.1]
    albumin, protein = area_difference(components, 0, 1), area_difference(components, 2, 1)
    assert (round(albumin.difference, 4), round(albumin.standard_error, 4)) == (0.0108, 0.0953)
    assert (round(protein.difference, 4), round(protein.standard_error, 4)) == (-0.078, 0.1046)
    assert (round(albumin.p_value, 4), round(protein.p_value, 4)) == (0.9102, 0.4561)
    assert (round(albumin.low, 4), round(albumin.high, 4)) == (-0.1761, 0.1976)
    contrast = np.array([[1.0, -1, 0], [0, -1, 1]])
    differences, together = contrast @ components.areas, covariance(components, contrast)
    assert round(float(differences @ np.linalg.solve(together, differences)), 4) == 2.534


@given(CASES)
def test_models_that_order_the_cases_alike_differ_by_nothing_with_p_1(rows):
    positive, scores = arrays(rows)
    if min(positive.sum(), (~positive).sum()) < 2:
        return
    components = area_components(positive, np.stack([scores[0], np.exp(scores[0])]))
    result = area_difference(components, 0, 1)
    assert (result.difference, result.standard_error, result.p_value) == (0, 0, 1)


@settings(max_examples=30)
@given(CASES, st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(rows, random):
    shuffled = rows.copy()
    random.shuffle(shuffled)
    results = []
    for each in (rows, shuffled):
        positive, scores = arrays(each)
        results.append(area_difference(area_components(positive, scores), 0, 1))
    assert results[0].difference == pytest.approx(results[1].difference, nan_ok=True)
    assert results[0].p_value == pytest.approx(results[1].p_value, nan_ok=True)


def test_one_case_of_a_class_has_no_variance_and_no_p_value():
    positive = np.array([True, False, False])
    result = area_difference(area_components(positive, np.array([[3.0, 2, 1], [1.0, 2, 3]])), 0, 1)
    assert result.difference == 1
    assert math.isnan(result.standard_error)
    assert math.isnan(result.p_value)
    none = area_components(np.array([True, True]), np.ones((2, 2)))
    assert np.isnan(none.areas).all()


def by_hand(positive: np.ndarray, scores: np.ndarray, clusters: np.ndarray) -> float:
    """Obuchowski's variance of one area, as the paper writes it, patient by patient."""
    table = wins(positive, scores)
    area, m, n = table.mean(), int(positive.sum()), int((~positive).sum())
    with_positives, with_negatives, everyone = 0.0, 0.0, 0.0
    keys = sorted(set(clusters))
    for key in keys:
        of_positives = table.mean(axis=1)[clusters[positive] == key]
        of_negatives = table.mean(axis=0)[clusters[~positive] == key]
        found, missed = (of_positives - area).sum(), (of_negatives - area).sum()
        with_positives += found**2
        with_negatives += missed**2
        everyone += found * missed
    some, others, all_of = len(set(clusters[positive])), len(set(clusters[~positive])), len(keys)
    return (
        some / (some - 1) * with_positives / m**2
        + others / (others - 1) * with_negatives / n**2
        + 2 * all_of / (all_of - 1) * everyone / (m * n)
    )


@pytest.mark.parametrize("seed", range(5))
def test_images_of_a_patient_are_added_up_first(seed):
    generator = np.random.default_rng(seed)
    clusters = generator.integers(12, size=60)
    positive = generator.random(60) < 0.5
    scores = generator.normal(positive + generator.normal(0, 1, 12)[clusters], 0.5).round(1)
    components = area_components(positive, scores[None], clusters)
    assert of_areas(components)[0, 0] == pytest.approx(by_hand(positive, scores, clusters))
    assert of_areas(components.alone())[0, 0] == pytest.approx(of_areas(area_components(positive, scores[None]))[0, 0])


def test_intervals_of_the_difference_cover_it_at_about_their_nominal_rate_over_patients():
    # Two models of equal quality; a patient's images (one to four, of one class) share a large part of their scores.
    covered, covered_alone = 0, 0
    rounds = 400
    for seed in range(rounds):
        generator = np.random.default_rng(seed)
        label = np.arange(160) < 80
        patient = np.repeat(np.arange(160), generator.integers(1, 5, 160))
        shared = generator.normal(0, 1, (2, 160))[:, patient]
        scores = 1.2 * label[patient] + shared + generator.normal(0, 0.3, (2, len(patient)))
        components = area_components(label[patient], scores, patient)
        covered += abs(area_difference(components, 0, 1).difference) <= 1.96 * (
            area_difference(components, 0, 1).standard_error
        )
        alone = area_difference(components.alone(), 0, 1)
        covered_alone += alone.low <= 0 <= alone.high
    assert 0.92 <= covered / rounds <= 0.98
    assert covered_alone / rounds < 0.9, "as if images were independent, the intervals promise too much"
