"""How often intervals hold the truth near the edge of a measure's range, and of the calibration error."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cxr.compare.statistics.bootstrap import area_difference_interval, area_interval, percentile_interval, reflected
from cxr.compare.statistics.differences import difference_of, recovered
from cxr.compare.statistics.estimates import Draws, Estimate
from cxr.compare.statistics.measures import WHOLE, Asked, measured_together

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "interval_coverage.py"


@pytest.fixture(scope="module")
def simulation():
    """The benchmark's simulations, in small."""
    spec = importlib.util.spec_from_file_location("interval_coverage", BENCHMARK)
    made = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = made
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARK.parent)  # what the benchmarks share lies beside them
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
    _, above, below = simulation.coverage(simulation.World(distance), measure, 40, 120, plain=True)
    assert least <= 1 - above - below <= most
    assert above > 2 * below


@pytest.mark.parametrize("distance", [1.6, 3.3], ids=["AUC 0.87", "AUC 0.99"])
def test_an_aucs_interval_covers_it_near_the_edge_too(simulation, distance):
    _, above, below = simulation.coverage(simulation.World(distance), "auc", 40, 120)
    assert 1 - above - below >= 0.88
    assert below <= 0.08


def test_an_area_interval_is_the_logit_one_of_the_draws_standard_error():
    draws = np.random.default_rng(1).beta(200, 3, 2_000)
    value = float(draws.mean())
    shown = area_interval(draws, value)
    reach = 1.959964 * draws.std() / (value * (1 - value))
    odds = [np.log(each / (1 - each)) for each in (shown.low, value, shown.high)]
    assert [odds[1] - odds[0], odds[2] - odds[1]] == pytest.approx([reach, reach], rel=1e-5)
    assert shown.low < percentile_interval(draws).low < value < shown.high < 1
    everything = np.ones(50)
    assert area_interval(everything, 1.0) == percentile_interval(everything)
    assert area_interval(np.array([np.nan, 0.5]), 0.5).undefined_draws == 1
    assert np.isnan(area_interval(np.full(3, np.nan), 0.5).low)


def test_a_difference_of_areas_is_nothing_of_one_model_and_turns_its_sign_with_the_models():
    draws = np.random.default_rng(2).beta(300, 100, (2, 2_000))
    values = (float(draws[0].mean()), float(draws[1].mean()))
    same = area_difference_interval(draws[0], draws[0], (values[0], values[0]))
    assert (same.low, same.high) == (0, 0)
    nearly = area_difference_interval(draws[0], draws[0] + 1e-9 * draws[1], (values[0], values[0]))
    assert 0 < nearly.high - nearly.low < 1e-6
    there = area_difference_interval(draws[0], draws[1], values)
    back = area_difference_interval(draws[1], draws[0], values[::-1])
    # Independent models: the variances add up.
    width = 2 * 1.96 * np.hypot(draws[0].std(), draws[1].std())
    assert there.high - there.low == pytest.approx(width, rel=0.1)
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low))
    holes = draws[0].copy()
    holes[:10] = np.nan
    assert area_difference_interval(holes, draws[1], values).undefined_draws == 10
    perfect = area_difference_interval(np.ones(2_000), draws[1], (1.0, values[1]))
    alone = area_interval(draws[1], values[1])
    assert (perfect.low, perfect.high) == pytest.approx((1 - alone.high, 1 - alone.low), rel=0.05)


@pytest.mark.slow
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


@pytest.mark.slow
def test_near_the_edge_a_margin_that_is_not_kept_is_seldom_called_kept(simulation):
    called = simulation.inferior((0.97, 0.99), 40, 150)
    assert called.plain > 0.05
    assert called.shown <= 0.06


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
    found = simulation.difference(0.1, 40, 400)
    assert found.over_images > 0.1
    assert found.over_patients <= 0.07
