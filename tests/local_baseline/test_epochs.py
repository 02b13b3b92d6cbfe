"""The rules between two epochs, the tuning report, and what a cluster is."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from cxr.errors import UsageError
from cxr.local_baseline.recipes import EarlyStopping, Plateau
from cxr.local_baseline.training.distribution import Cluster, cluster_of
from cxr.local_baseline.training.epochs import EpochResult, StageState, best_so_far
from cxr.local_baseline.training.tuning_report import MOST_LINES, TuningReport


def epoch(number: int, val_loss: float, *, val_auc: float = 0.5, stage: str = "whole") -> EpochResult:
    return EpochResult(stage, number, 9, 1.0, val_loss, val_auc, 0.5, 1e-3)


RULES = {"whole": EarlyStopping(9)}


def no_words(line: str) -> None:
    raise AssertionError(line)


def test_a_stage_is_over_when_patience_is() -> None:
    state, rule = StageState(), EarlyStopping(patience=2, min_delta=0.1)
    best = [state.end_epoch(epoch(number, loss), rule) for number, loss in enumerate((1.0, 0.8, 0.75, 0.71), start=1)]
    assert best == [True, True, False, False]
    assert (state.best_epoch, state.best_loss) == (2, 0.8)
    assert state.is_over(9, rule)
    assert not state.is_over(9, EarlyStopping(patience=3))
    assert state.is_over(4, EarlyStopping(patience=3))


def test_a_stage_that_keeps_the_last_epoch_neither_stops_nor_looks_back() -> None:
    state, rule = StageState(), EarlyStopping(patience=1, keep_last=True)
    best = [state.end_epoch(epoch(number, loss), rule) for number, loss in enumerate((0.5, 0.9, 0.8), start=1)]
    assert best == [True, True, True]
    assert (state.best_epoch, state.is_over(4, rule), state.is_over(3, rule)) == (3, False, True)


def test_a_plateau_is_patience_epochs_without_gain_again_and_again() -> None:
    state, rule = StageState(), Plateau(factor=0.3, patience=2)
    assert [state.on_plateau(loss, rule) for loss in (1.0, 1.0, 1.0, 0.9999, 0.99995, 0.5)] == [
        *(False, False, True),
        *(False, True, False),
    ]


def test_a_state_survives_json() -> None:
    state = StageState()
    state.end_epoch(epoch(1, 0.1234567890123), EarlyStopping(1))
    state.add_step(0.1, 32)
    assert StageState.from_json(json.loads(json.dumps(asdict(state)))) == state
    assert state.loss == pytest.approx(0.1)


def test_the_best_epoch_is_the_one_the_bundle_would_hold() -> None:
    head = [epoch(1, 0.5, stage="head"), epoch(2, 0.5, stage="head")]
    rules = {"head": EarlyStopping(9), "fine-tune": EarlyStopping(9)}
    assert best_so_far(head, rules) == head[0]
    worse, equal = epoch(1, 0.6, stage="fine-tune"), epoch(2, 0.5, stage="fine-tune")
    assert best_so_far([*head, worse], rules) == head[0]
    assert best_so_far([*head, worse, equal], rules) == equal


def test_a_trial_reports_the_best_epoch_so_far(tmp_path: Path) -> None:
    path = tmp_path / "reports" / "metrics"
    report = TuningReport(path, "3", "val_auc", RULES, no_words)
    for number, (loss, auc) in enumerate([(0.5, 0.8), (0.7, 0.9), (0.4, 0.85)], start=1):
        report.on_epoch(epoch(number, loss, val_auc=auc))
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        assert len(lines) == number
    assert [(line["val_auc"], line["global_step"]) for line in lines] == [("0.8", "1"), ("0.8", "2"), ("0.85", "3")]
    assert {line["trial"] for line in lines} == {"3"}
    assert set(lines[0]) == {"timestamp", "trial", "val_auc", "global_step", "checkpoint_path"}
    again = TuningReport(path, "3", "val_loss", RULES, no_words)
    for number in range(1, MOST_LINES + 3):
        again.on_epoch(epoch(number, 0.1))
    kept = [json.loads(line)["global_step"] for line in path.read_text().splitlines()]
    assert kept == [str(number) for number in range(3, MOST_LINES + 3)]


def test_a_trial_reports_what_the_bundle_holds_when_a_small_gain_counts_for_nothing(tmp_path: Path) -> None:
    rule, state = EarlyStopping(9, min_delta=0.01), StageState()
    report = TuningReport(tmp_path / "metrics", "1", "val_auc", {"whole": rule}, no_words)
    for result in (epoch(1, 0.5, val_auc=0.7), epoch(2, 0.495, val_auc=0.9)):
        state.end_epoch(result, rule)
        report.on_epoch(result)
    assert state.best_epoch == 1
    assert json.loads((tmp_path / "metrics").read_text().splitlines()[-1])["val_auc"] == "0.7"


def test_a_report_that_cannot_be_written_is_said_and_made_good(tmp_path: Path) -> None:
    said: list[str] = []
    folder = tmp_path / "reports"
    folder.write_text("")
    report = TuningReport(folder / "metrics", "1", "val_auc", RULES, said.append)
    report.on_epoch(epoch(1, 0.5))
    assert [line.partition(": ")[0] for line in said] == ["the tuning service was not told of the epoch"]
    folder.unlink()
    for number in (2, 3):
        report.on_epoch(epoch(number, 0.5))
    lines = [json.loads(line)["global_step"] for line in (folder / "metrics").read_text().splitlines()]
    assert (lines, len(said)) == (["1", "2", "3"], 1)


def config(kind: str, index: int, **cluster: list[str]) -> str:
    task = {"type": kind, "index": index, "trial": "1"}
    return json.dumps({"cluster": cluster, "task": task, "environment": "cloud"})


def test_the_chief_is_the_first_of_a_cluster() -> None:
    members = {"chief": ["a:2222"], "worker": ["b:2222", "c:2222"]}
    assert cluster_of(config("chief", 0, **members)) == Cluster(3, 0)
    assert cluster_of(config("worker", 1, **members)) == Cluster(3, 2)
    assert cluster_of(config("worker", 1, worker=["b:1", "c:1"])) == Cluster(2, 1)
    for alone in ("", " ", "{}", config("chief", 0, chief=["a:2222"])):
        assert cluster_of(alone) == Cluster()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "cannot be read"),
        ("[]", "cannot be read"),
        (config("ps", 0, chief=["a:1"], ps=["b:1"]), "names tasks of the kind 'ps'"),
        (config("worker", 2, worker=["a:1", "b:1"]), "says this is worker 2, which its cluster does not name"),
    ],
    ids=["json", "list", "kind", "index"],
)
def test_a_cluster_that_cannot_be_is_a_usage_error(text: str, words: str) -> None:
    with pytest.raises(UsageError) as error:
        cluster_of(text)
    assert words in error.value.message
