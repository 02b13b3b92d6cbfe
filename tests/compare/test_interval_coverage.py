"""How often intervals hold the truth near the edge of a measure's range, and of the calibration error."""

from __future__ import annotations

import importlib.util
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cxr.compare.bootstrap import by_log_odds, percentile_interval, reflected
from cxr.compare.estimates import Draws, Estimate
from cxr.compare.statistics.differences import difference_of, recovered
from cxr.compare.statistics.measures import WHOLE, Asked, measured_together

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "interval_coverage.py"


@pytest.fixture(scope="module")
def simulation():
    """The benchmark's simulations, in small."""
    spec = importlib.util.spec_from_file_location("interval_coverage", BENCHMARK)
    made = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = made
    spec.loader.exec_module(made)
    made.DRAWS, made.POPULATION = 300, 60_000
    yield made
    del sys.modules[spec.name]


@pytest.mark.parametrize(
    ("distance", "measure", "least", "most"),
    [
        pytest.param(3.3, "auc", 0.70, 0.92, id="AUC 0.99"),
        pytest.param(4.2, "auc", 0.60, 0.85, id="AUC 0.999"),
        pytest.param(4.2, "accuracy", 0.80, 0.97, id="accuracy 0.98"),
    ],
)
def test_near_the_edge_of_its_range_a_percentile_interval_covers_less_and_lies_too_high(
    simulation, distance, measure, least, most
):
    _, above, below = simulation.coverage(simulation.World(distance), measure, 40, 120)
    assert least <= 1 - above - below <= most
    assert above > 2 * below


@pytest.mark.parametrize(("steepness", "plain"), [(1.0, 0.02), (1.5, 0.3)], ids=["calibrated", "overconfident"])
def test_the_calibration_errors_interval_holds_it_where_percentiles_do_not(simulation, steepness, plain):
    everybody = measured_together([simulation.stated_cases(steepness, 30_000, 1)], Draws(1, 1), Asked())[0]
    truth = everybody.values["calibration_error", WHOLE]
    held = percentiles_held = 0
    for seed in range(80):
        cases = simulation.stated_cases(steepness, 40, 1_000 + seed)
        made = measured_together([cases], Draws(300, seed), Asked(every_class=False))[0]
        shown = made.estimate("calibration_error")
        assert 0 <= shown.low <= shown.value <= shown.high
        percentiles = percentile_interval(made.draws["calibration_error", WHOLE])
        held += shown.low <= truth <= shown.high
        percentiles_held += percentiles.low <= truth <= percentiles.high
    assert percentiles_held / 80 <= plain
    assert held / 80 >= 0.84


def test_what_chance_alone_makes_is_a_calibration_error_of_0_and_more_is_not(simulation):
    calibrated, wrong = (
        measured_together([simulation.stated_cases(steepness, 200, 7)], Draws(300, 1), Asked(every_class=False))[0]
        for steepness in (1.0, 3.0)
    )
    assert calibrated.estimate("calibration_error").low == 0 < calibrated.values["calibration_error", WHOLE]
    assert wrong.estimate("calibration_error").low > 0.05
    assert not any(of == "@chance" for _, of in calibrated.values)


def test_reflected_draws_have_the_basic_interval():
    draws = np.array([1.0, 2.0, 4.0, 7.0])
    assert sorted(reflected(draws, 3.0)) == [-1, 2, 4, 5]
    plain, basic = percentile_interval(draws), percentile_interval(reflected(draws, 3.0))
    assert (basic.low, basic.high) == pytest.approx((6 - plain.high, 6 - plain.low))


@pytest.mark.parametrize(("first", "second"), [(1.0, 1.5), (1.5, 0.7)], ids=["unlike", "alike"])
def test_the_interval_of_two_calibration_errors_difference_holds_it(simulation, first, second):
    def pair(patients, seed):
        return [simulation.stated_cases(steepness, patients, seed) for steepness in (first, second)]

    name = ("calibration_error", WHOLE)
    truth = np.subtract(*[each.values[name] for each in measured_together(pair(30_000, 1), Draws(1, 1), Asked())])
    held = 0
    for seed in range(60):
        models = measured_together(pair(40, 1_000 + seed), Draws(200, seed), Asked(every_class=False))
        made = difference_of(name, *models, {})
        assert made.low <= made.value <= made.high
        held += made.low <= truth <= made.high
    assert held / 60 >= 0.85


def test_the_interval_of_a_difference_is_recovered_from_two():
    low, high = recovered(Estimate(0.10, 0.07, 0.14), Estimate(0.08, 0.04, 0.11))
    assert (low, high) == pytest.approx((0.02 - np.hypot(0.03, 0.03), 0.02 + np.hypot(0.04, 0.04)))


def test_near_the_edge_a_margin_that_is_not_kept_is_seldom_called_kept(simulation):
    said = simulation.inferior((0.97, 0.99), 40, 150)
    plain, shown = (float(each) / 100 for each in re.findall(r"([\d.]+)%", said))
    assert plain > 0.05
    assert shown <= 0.06


def test_draws_by_log_odds_keep_their_steps_and_stay_within_0_and_1():
    draws = np.array([0.90, 0.97, 0.98, 1.0, np.nan])
    made = by_log_odds(draws, 0.98)
    odds = np.log(made[:4] / (1 - made[:4]))
    assert np.diff(odds) == pytest.approx(np.diff(draws[:4]) / (0.98 * 0.02))
    assert made[2] == pytest.approx(0.98)
    assert made[0] < 0.90 < 0.98 < made[3] < 1
    assert np.isnan(made[4])
    assert np.array_equal(by_log_odds(draws, 1.0), draws, equal_nan=True)
    assert by_log_odds(np.array([0.0, 1.0]), 1 - 1e-12).tolist() == pytest.approx([0, 1])


def test_models_that_order_nearly_all_alike_differ_by_nearly_nothing(simulation):
    # The same scores but for one image: no width may come from the way to the log odds and back.
    one, _ = simulation.of_areas((0.97, 0.97), 60, 3)
    other = replace(one, probabilities=one.probabilities.copy())
    other.probabilities[0] = (0.9, 0.1) if other.probabilities[0, 1] > 0.5 else (0.1, 0.9)
    judged = measured_together([one, other], Draws(300, 1), Asked(every_class=False))
    made = difference_of(("auc", WHOLE), *judged, {})
    plain = percentile_interval(judged[0].draws["auc", WHOLE] - judged[1].draws["auc", WHOLE])
    assert 0 < made.high - made.low < 2 * (plain.high - plain.low)
    same = difference_of(("auc", WHOLE), judged[0], judged[0], {})
    assert (same.low, same.high) == (0, 0)


@pytest.mark.slow
def test_each_line_of_the_benchmark_is_as_documented(simulation):
    simulation.DRAWS = 1_000
    _, above, below = simulation.coverage(simulation.World(1.6), "auc", 200, 400)
    assert 0.92 <= 1 - above - below <= 0.98
    said = simulation.difference(0.1, 40, 400)
    images, patients = (float(each) / 100 for each in re.findall(r"finds ([\d.]+)%, over patients ([\d.]+)%", said)[0])
    assert images > 0.1
    assert patients <= 0.07
