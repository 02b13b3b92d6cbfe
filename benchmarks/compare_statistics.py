"""The statistics of a comparison: 2,000 resamples of patients, three models, all measures, differences, paired tests.

Two sizes, each in a process of its own with its peak memory: 624 images of 428 patients (goal: 5 s), and a million
images (goal: 120 s and 4 GB). Beside it the peer: a plain loop that resamples indices of whole patients and calls
scikit-learn's metrics on the copies. The peer makes fewer draws and is extrapolated to as many; how many is printed.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time

import numpy as np
import sklearn.metrics as sk

from cxr.compare.statistics.against_reference import against_reference
from cxr.compare.statistics.estimates import Draws
from cxr.compare.statistics.measures import Asked, Scored, measured_together

DRAWS = 2_000
MODELS = 3
IMAGES_PER_PATIENT = 624 / 428
#: Images -> (seconds, gigabytes, draws of the peer).
GOALS = {624: (5.0, 4.0, 20), 1_000_000: (120.0, 4.0, 2)}


def main() -> None:
    """Both sizes, ours and the peer's; `compare_statistics.py WHO IMAGES` is one of the processes."""
    if len(sys.argv) == 3:
        who, images = sys.argv[1], int(sys.argv[2])
        seconds, processor = (_ours if who == "ours" else _peer)(images)
        print(seconds, processor, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9)
        return
    for images, (goal_s, goal_gb, peer_draws) in GOALS.items():
        seconds, processor, gigabytes = _child("ours", images)
        peer_s, peer_processor, peer_gb = _child("peer", images)
        missed = "" if seconds <= goal_s and gigabytes <= goal_gb else "  MISSES THE GOAL"
        print(
            f"{images:,} images, {MODELS} models, {DRAWS:,} draws: {seconds:.1f} s "
            f"({processor:.1f} s of processor), {gigabytes:.2f} GB{missed}"
        )
        print(
            f"  scikit-learn on resampled indices: {peer_s:.0f} s, {peer_gb:.2f} GB "
            f"(extrapolated from {peer_draws} draws); {peer_s / seconds:.0f} times ours, "
            f"{peer_processor / processor:.0f} times in processor time",
            flush=True,
        )


def _child(who: str, images: int) -> tuple[float, float, float]:
    done = subprocess.run([sys.executable, __file__, who, str(images)], stdout=subprocess.PIPE, text=True, check=True)
    seconds, processor, gigabytes = map(float, done.stdout.split())
    return seconds, processor, gigabytes


def _models(images: int) -> list[Scored]:
    """Three models of one test set whose scores resemble each other within a patient."""
    generator = np.random.default_rng(0)
    patients = int(images / IMAGES_PER_PATIENT)
    patient = np.sort(np.r_[np.arange(patients), generator.integers(patients, size=images - patients)])
    truth = (generator.random(patients) < 0.625).astype(np.int64)[patient]
    own = generator.normal(0, 0.6, patients)[patient]
    keys = [f"person{number}" for number in patient]
    kinds = np.where(truth == 1, "PNEUMONIA/bacterial", "NORMAL/").tolist()
    models = []
    for number in range(MODELS):
        logit = 3 * truth - 1.5 + own + generator.normal(0, 0.8 + 0.1 * number, images)
        score = 1 / (1 + np.exp(-logit))
        called = (score >= 0.6).astype(np.int64)
        probabilities = np.column_stack([1 - score, score])
        models.append(Scored(probabilities, truth, called, keys, kinds, ("NORMAL", "PNEUMONIA"), 1))
    return models


def _ours(images: int) -> tuple[float, float]:
    models = _models(images)
    start, processor = time.perf_counter(), time.process_time()
    asked = Asked(prevalence=0.2, sensitivity=0.95, every_class=False)
    measured = measured_together(models, Draws(DRAWS, 1), asked)
    against_reference(["a", "b", "c"], models, measured, reference=0, reason="the first")
    return time.perf_counter() - start, time.process_time() - processor


def _peer(images: int) -> tuple[float, float]:
    """Seconds (of the clock, of the processor) for DRAWS draws, from fewer. The same measures but for the oracle point
    and the predictive values at another prevalence, which scikit-learn does not have."""
    models, draws = _models(images), GOALS[images][2]
    keys, number = np.unique(np.asarray(models[0].patients), return_inverse=True)
    order = np.argsort(number, kind="stable")
    starts = np.searchsorted(number[order], np.arange(len(keys) + 1))
    generator = np.random.default_rng(1)
    start, processor = time.perf_counter(), time.process_time()
    for _ in range(draws):
        drawn = generator.integers(len(keys), size=len(keys))
        rows = np.concatenate([order[starts[each] : starts[each + 1]] for each in drawn])
        for model in models:
            _peer_measures(model.truth[rows], model.score[rows], model.called[rows])
    times = DRAWS / draws
    return (time.perf_counter() - start) * times, (time.process_time() - processor) * times


def _peer_measures(truth: np.ndarray, score: np.ndarray, called: np.ndarray) -> None:
    for calls in (called, score >= 0.5):
        sk.accuracy_score(truth, calls)
        sk.balanced_accuracy_score(truth, calls)
        for positive in (0, 1):
            sk.recall_score(truth, calls, pos_label=positive)
            sk.precision_score(truth, calls, pos_label=positive)
        sk.f1_score(truth, calls)
    sk.roc_auc_score(truth, score)
    sk.average_precision_score(truth, score)
    sk.brier_score_loss(truth, score)
    sk.log_loss(truth, score)


if __name__ == "__main__":
    main()
