"""`cxr baseline train` that is killed, stopped or finished by hand: real processes, and the same model in the end."""

from __future__ import annotations

import json
import os
import pty
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cxr.bundle import Bundle, read_bundle

RunCxr = Callable[..., subprocess.CompletedProcess[str]]
EPOCHS = 8
ARGUMENTS = ("baseline", "train", "--recipe", "cnn5", "--epochs", str(EPOCHS), "--set", "batch_size=8")
#: On so few images the first epoch may be the best: all of them are to run.
ARGUMENTS += ("--set", "early_stopping.patience=100")


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with a manifest of 32 small images."""
    from small_folder import draw_kaggle_folder

    folder = tmp_path_factory.mktemp("resume")
    draw_kaggle_folder(folder / "xrays")
    for words in (("scan", "xrays"), ("split", "--validation", "0.3")):
        subprocess.run([sys.executable, "-m", "cxr", "data", *words], cwd=folder, check=True, capture_output=True)
    return folder


def start(work: Path, *more: str, stderr: Any = subprocess.PIPE) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "cxr", *ARGUMENTS, *more]
    return subprocess.Popen(command, cwd=work, stdout=subprocess.PIPE, stderr=stderr, text=True)


def stop_at(work: Path, epoch: int, how: signal.Signals, *more: str) -> tuple[int, str]:
    """Run until the checkpoint of `epoch` is there, then send `how`; the exit code and what was said."""
    process = start(work, *more)
    while process.poll() is None and not list(work.glob(f".cxr/checkpoints/*/cxr-*-{epoch:06d}-*.npz")):
        time.sleep(0.005)
    process.send_signal(how)
    _, said = process.communicate(timeout=300)
    return process.returncode, said


def weights_of(bundle: Bundle) -> list[Any]:
    from cxr.local_baseline.tensorflow_setup import load

    return list(load().keras.models.load_model(bundle.model_path).get_weights())


def run_in_terminal(work: Path, *more: str) -> str:
    """What a terminal of 120 columns shows of a training on stderr, without colours and cursor movements."""
    ours, theirs = pty.openpty()
    environment = os.environ | {"COLUMNS": "120", "TERM": "xterm"}
    command = [sys.executable, "-m", "cxr", *ARGUMENTS, *more]
    process = subprocess.Popen(command, cwd=work, stdout=subprocess.DEVNULL, stderr=theirs, env=environment)
    os.close(theirs)
    shown = b""
    try:
        while piece := os.read(ours, 65536):
            shown += piece
    except OSError:  # how Linux says that the other side is closed
        pass
    os.close(ours)
    assert process.wait(timeout=300) == 0, shown.decode()
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())


@pytest.mark.slow
def test_a_training_that_is_killed_twice_gives_the_same_weights_as_one_that_is_not(work: Path, run_cxr: RunCxr) -> None:
    shown = run_in_terminal(work, "--out", "calm")
    lines = [line.split() for line in shown.replace("\r", "\n").splitlines()]
    assert ["stage", "epoch", "loss", "val_loss", "val_auc", "val_acc", "lr", "seconds"] in lines
    assert any("best" in line for line in lines)
    calm = read_bundle(work / "calm")
    (work / "calm").rename(work / "kept")  # a finished training leaves no checkpoint
    assert not list(work.glob(".cxr/checkpoints/*/*.npz"))
    first, second = sorted(random.sample(range(1, EPOCHS), 2))
    for epoch in (first, second):
        code, said = stop_at(work, epoch, signal.SIGKILL, "--out", "killed")
        assert code == -signal.SIGKILL, said
        assert not (work / "killed").exists()
    process = start(work, "--out", "killed", "--json")
    out, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert "goes on after epoch" in said
    assert f"epoch {first}/{EPOCHS} " not in said
    killed = read_bundle(work / "killed")
    assert json.loads(out)["hash"] == killed.hash
    histories = [(folder / "training.csv").read_text() for folder in (work / "kept", work / "killed")]
    assert histories[0] == histories[1]
    for mine, other in zip(weights_of(killed), weights_of(read_bundle(work / "kept")), strict=True):
        assert np.array_equal(mine, other)
    assert killed.info.threshold == calm.info.threshold
    assert not list(work.glob(".cxr/checkpoints/*/*.npz"))
    assert not list(work.glob(".killed*"))


@pytest.mark.slow
def test_ctrl_c_keeps_what_was_done_and_finish_makes_a_bundle_of_it(work: Path, run_cxr: RunCxr) -> None:
    train = (*ARGUMENTS, "--seed", "8", "--out", "stopped")
    nothing = run_cxr(*train, "--finish", cwd=work)
    assert nothing.returncode == 2
    assert "no epoch of this training has been kept" in nothing.stderr
    code, said = stop_at(work, 2, signal.SIGINT, "--seed", "8", "--out", "stopped")
    assert code == 6, said
    assert "epochs are kept" in said
    assert "run the same command again to go on" in said
    assert "Traceback" not in said
    assert not (work / "stopped").exists()
    finished = run_cxr(*train, "--finish", "--json", cwd=work)
    assert finished.returncode == 0, finished.stderr
    provenance = json.loads(finished.stdout)["provenance"]
    assert provenance["ended_early"] is True
    assert 2 <= provenance["epochs_run"] < EPOCHS
    assert "without --finish goes on" in finished.stderr
    whole = run_cxr(*train, "--json", cwd=work)
    assert "goes on after epoch" in whole.stderr
    assert json.loads(whole.stdout)["provenance"]["ended_early"] is False
    assert json.loads(whole.stdout)["provenance"]["epochs_run"] == EPOCHS
    fresh = run_cxr(*train, "--fresh", cwd=work)
    assert f"epoch 1/{EPOCHS} loss" in fresh.stderr


@pytest.mark.slow
def test_the_same_training_twice_at_once_is_refused(work: Path, run_cxr: RunCxr) -> None:
    train = ("--seed", "9", "--out", "once")
    first = start(work, *train)
    try:
        while first.poll() is None and not list(work.glob(".cxr/checkpoints/*/*.npz")):
            time.sleep(0.005)
        first.send_signal(signal.SIGSTOP)
        second = run_cxr(*ARGUMENTS, *train, cwd=work)
    finally:
        first.kill()
        first.communicate()
    assert second.returncode == 2
    assert "another process is at this very training" in second.stderr


@pytest.mark.slow
def test_quiet_says_nothing_while_it_trains(work: Path, run_cxr: RunCxr) -> None:
    train = (*ARGUMENTS, "--epochs", "1", "--quiet", "--tensorboard", "board", "--out", "quiet")
    ran = run_cxr(*train, cwd=work)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert list((work / "board").iterdir())
    assert (work / "quiet" / "training.png").read_bytes().startswith(b"\x89PNG")


def test_fresh_and_finish_exclude_each_other(work: Path, run_cxr: RunCxr) -> None:
    ran = run_cxr(*ARGUMENTS, "--fresh", "--finish", cwd=work)
    assert ran.returncode == 2
    assert "choose one of the two" in ran.stderr
