"""How often the intervals hold the truth, in the middle of a measure's range and near its edge: percentiles over
patients, and what stands in for them where they fail.

Patients of one class each, some with several images that resemble each other; the truth is that of a population of
400,000 patients drawn alike. Each line is of 500 test sets (`interval_coverage.py 2000` makes more), 1,000 resamples
each: the share of the intervals that held the truth, which should be 95 %, and on which side they missed it.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from cxr.compare.metrics.confusion import confusion_matrix, predicted_classes, threshold_metrics
from cxr.compare.metrics.ranking import roc_auc
from cxr.compare.statistics.bootstrap import Cases, area_interval, bootstrap_draws, patient_numbers, percentile_interval
from cxr.compare.statistics.differences import difference_of
from cxr.compare.statistics.estimates import Draws
from cxr.compare.statistics.measures import WHOLE, Asked, Scored, measured_together
from cxr.compare.statistics.paired_calls import paired_calls

DRAWS = 1_000
POPULATION = 400_000


@dataclass(frozen=True)
class World:
    """How scores come about: standard deviations within a patient and of an image, the distance of the classes'
    means, and how many images a patient has at most."""

    distance: float
    of_patient: float = 0.8
    of_image: float = 0.6
    images: int = 3


def main() -> None:
    """Print a table."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    print(f"{rounds:,} test sets a line, {DRAWS:,} resamples each")
    print("AUC and accuracy")
    for patients in (40, 200):
        for distance, said in ((1.6, "AUC 0.87"), (3.3, "AUC 0.99"), (4.2, "AUC 0.999")):
            for measure, plain in (("auc", True), ("auc", False), ("accuracy", True)):
                truth, low, high = coverage(World(distance), measure, patients, rounds, plain=plain)
                print(
                    f"  {patients} patients of a class, {said}: {measure} {truth:.4f} "
                    f"{'by percentiles' if plain else 'on the scale of log odds, as shown'}: {1 - low - high:.1%} "
                    f"(wholly above the truth {low:.1%}, wholly below it {high:.1%})",
                    flush=True,
                )
    print("expected calibration error")
    for steepness, said in ((1.0, "calibrated"), (1.5, "overconfident"), (3.0, "very overconfident")):
        for patients in (40, 200):
            print(f"  {patients} patients of a class, {said}: {calibration(steepness, patients, rounds)}", flush=True)
    print("difference in AUC, model 0.02 below the reference: how often a margin of 0.02 is called kept (2.5 %)")
    for areas in ((0.85, 0.87), (0.97, 0.99), (0.979, 0.999)):
        for patients in (40, 200):
            print(f"  {patients} patients of a class, {areas}: {inferior(areas, patients, rounds)}", flush=True)
    print("difference in accuracy of two models that are as good as each other: intervals, and tests at 5 %")
    for told_apart in (0.02, 0.1, 0.3):
        for patients in (40, 200):
            said = f"{told_apart:.0%} of patients tell them apart"
            print(f"  {patients} patients of a class, {said}: {difference(told_apart, patients, rounds)}", flush=True)


def drawn(world: World, patients: int, seed: int) -> Cases:
    """`patients` of each class; an image is called positive above the middle of the classes' means."""
    generator = np.random.default_rng(seed)
    label = np.repeat([0, 1], patients)
    patient = np.repeat(np.arange(2 * patients), generator.integers(1, world.images + 1, 2 * patients))
    score = (
        world.distance * label[patient]
        + generator.normal(0, world.of_patient, 2 * patients)[patient]
        + generator.normal(0, world.of_image, len(patient))
    )
    called = (score > world.distance / 2).astype(np.int64)
    return Cases(label[patient].astype(np.int64), called, score, [f"p{number}" for number in patient], 2, 1)


def coverage(
    world: World, measure: str, patients: int, rounds: int, *, plain: bool = False
) -> tuple[float, float, float]:
    """The truth, and how often an interval lies wholly above and wholly below it. `plain`: by percentiles alone."""
    everybody = drawn(world, POPULATION // 2, 1)
    truth = _value(everybody, measure)
    above = below = 0
    for seed in range(rounds):
        cases = drawn(world, patients, 1_000 + seed)
        draws = bootstrap_draws(cases, draws=DRAWS, seed=seed)[measure]
        of_area = measure == "auc" and not plain
        interval = area_interval(draws, _value(cases, measure)) if of_area else percentile_interval(draws)
        above += interval.low > truth
        below += interval.high < truth
    return truth, above / rounds, below / rounds


def _value(cases: Cases, measure: str) -> float:
    if measure == "auc":
        return float(roc_auc(cases.is_positive, cases.score))
    return float(threshold_metrics(confusion_matrix(cases.truth, cases.predicted, 2), 1)[measure])


def stated_cases(steepness: float, patients: int, seed: int) -> Scored:
    """Patients whose class comes true with its probability, which is stated with `steepness` times the log odds."""
    generator = np.random.default_rng(seed)
    own = generator.normal(0, 2.0, 2 * patients)
    patient = np.repeat(np.arange(2 * patients), generator.integers(1, 3, 2 * patients))
    logit = own[patient] + generator.normal(0, 0.3, len(patient))
    truth = (generator.random(len(patient)) < 1 / (1 + np.exp(-logit))).astype(np.int64)
    score = 1 / (1 + np.exp(-steepness * logit))
    return scored_as(score, truth, patient)


def scored_as(score: np.ndarray, truth: np.ndarray, patient: np.ndarray) -> Scored:
    """A model's answers: called positive from one half on."""
    probabilities = np.stack([1 - score, score], axis=1)
    called = predicted_classes(probabilities, 1, 0.5)
    return Scored(probabilities, truth, called, [f"p{n:07d}" for n in patient], ["x"] * len(truth), ("A", "B"), 1)


def calibration(steepness: float, patients: int, rounds: int) -> str:
    """Coverage of the percentile interval and of the one that is shown, with their mean widths."""
    everybody = measured_together([stated_cases(steepness, POPULATION // 2, 1)], Draws(1, 1), Asked())[0]
    truth = everybody.values["calibration_error", WHOLE]
    held, widths, values = np.zeros(2), np.zeros(2), []
    for seed in range(rounds):
        cases = stated_cases(steepness, patients, 1_000 + seed)
        made = measured_together([cases], Draws(DRAWS, seed), Asked(every_class=False))[0]
        shown, plain = made.estimate("calibration_error"), percentile_interval(made.draws["calibration_error", WHOLE])
        values.append(shown.value)
        for number, each in enumerate((plain, shown)):
            held[number] += each.low <= truth <= each.high
            widths[number] += each.high - each.low
    (plain_held, held_shown), (plain_width, width) = held / rounds, widths / rounds
    return (
        f"truth {truth:.3f}, measured {np.mean(values):.3f}; percentile {plain_held:.1%} (width {plain_width:.3f}), "
        f"shown {held_shown:.1%} (width {width:.3f})"
    )


def of_areas(areas: tuple[float, float], patients: int, seed: int) -> list[Scored]:
    """Two models with these areas under their curves, whose scores share the patient's and the image's part."""
    generator = np.random.default_rng(seed)
    patient = np.repeat(np.arange(2 * patients), generator.integers(1, 4, 2 * patients))
    truth = (np.arange(2 * patients) % 2)[patient]
    common = generator.normal(0, 0.8, 2 * patients)[patient] + generator.normal(0, 0.4, len(truth))
    spread = np.sqrt(2 * (0.8**2 + 0.4**2 + 0.45**2))
    models = []
    for area in areas:
        logit = spread * NormalDist().inv_cdf(area) * truth + common + generator.normal(0, 0.45, len(truth))
        models.append(scored_as(1 / (1 + np.exp(-logit)), truth, patient))
    return models


def inferior(areas: tuple[float, float], patients: int, rounds: int) -> str:
    """How often the lower end of the difference lies above what it is: by percentiles, and as it is shown."""
    plain = shown = 0
    for seed in range(rounds):
        judged = measured_together(of_areas(areas, patients, seed), Draws(DRAWS, seed), Asked(every_class=False))
        draws = judged[0].draws["auc", WHOLE] - judged[1].draws["auc", WHOLE]
        plain += percentile_interval(draws).low > areas[0] - areas[1]
        shown += difference_of(("auc", WHOLE), *judged, {}).low > areas[0] - areas[1]
    return f"percentile {plain / rounds:.1%}, shown {shown / rounds:.1%}"


def two_models(told_apart: float, patients: int, seed: int) -> list[Scored]:
    """Models of which a patient's images are told apart all alike, as often in favour of the one as of the other."""
    generator = np.random.default_rng(seed)
    patient = np.repeat(np.arange(2 * patients), generator.integers(1, 4, 2 * patients))
    truth = (np.arange(2 * patients) % 2)[patient]
    apart = generator.random(2 * patients) < told_apart
    favoured = generator.integers(2, size=2 * patients)
    models = []
    for number in range(2):
        wrong = (apart & (favoured == number))[patient]
        # Scores that differ in the last digits: the models are not the same one.
        score = np.where(wrong, 1 - truth, truth) * 0.8 + 0.1 + number * 1e-6
        models.append(scored_as(score, truth, patient))
    return models


def difference(told_apart: float, patients: int, rounds: int) -> str:
    """Coverage of 0 by the percentile interval and by the one that is shown, and how often McNemar's tests find a
    difference that is none."""
    held, found = np.zeros(2), np.zeros(2)
    for seed in range(rounds):
        models = two_models(told_apart, patients, seed)
        judged = measured_together(models, Draws(DRAWS, seed), Asked(every_class=False))
        number, _ = patient_numbers(models[0].patients)
        calls = paired_calls(*models, number)["accuracy"]
        shares = calls.shares()
        shown = difference_of(("accuracy", WHOLE), *judged, {"accuracy": shares} if shares else {})
        plain = percentile_interval(judged[0].draws["accuracy", WHOLE] - judged[1].draws["accuracy", WHOLE])
        for place, each in enumerate((plain, shown)):
            held[place] += each.low <= 0 <= each.high
        for place, test in enumerate((calls.mcnemar(), calls.mcnemar_over_patients())):
            found[place] += test.p_value < 0.05
    plain_held, shown_held = held / rounds
    images, over_patients = found / rounds
    return (
        f"percentile {plain_held:.1%}, shown {shown_held:.1%}; McNemar over images finds {images:.1%}, over patients "
        f"{over_patients:.1%}"
    )


if __name__ == "__main__":
    main()
