"""A training on this machine that may be left at any time and is taken up again by the same command."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cxr.bundle import Bundle
from cxr.errors import Fault, Interrupted, UsageError
from cxr.local_baseline.request import TrainRequest, check_request, fingerprint, recipe_of
from cxr.local_baseline.train import train
from cxr.local_baseline.training.checkpoints import MARK_DIGITS, Checkpoints
from cxr.local_baseline.training.epochs import EpochResult
from cxr.local_baseline.training.fitting import OnEpoch
from cxr.local_baseline.training.signals import sigterm_as_ctrl_c
from cxr.local_baseline.training.stages import OnResume, Surroundings
from cxr.locks import only_one
from cxr.progress import Progress


def ignore_epoch(result: EpochResult) -> None:
    """Tells nobody."""
    del result


def ignore_history(history: tuple[EpochResult, ...]) -> None:
    """Tells nobody."""
    del history


@dataclass(frozen=True, slots=True)
class Listeners:
    """Who hears of a training: of decoding and every step, of each epoch, of the epochs that an earlier process did,
    and notes in words."""

    on_progress: Progress
    on_epoch: OnEpoch = ignore_epoch
    on_resume: OnResume = ignore_history
    say: Callable[[str], None] = lambda note: None


def train_here(
    request: TrainRequest, checkpoints: Path, listeners: Listeners, *, fresh: bool = False, finish: bool = False
) -> Bundle:
    """`train`, with checkpoints in a folder of this training's own below `checkpoints`, removed when the bundle is
    whole.

    After a kill, a crash or a failure the same call goes on at the last whole epoch (after SIGTERM and Ctrl-C at the
    last step) and comes to the same end. `fresh` throws away what was kept, and a finished bundle; `finish` makes no
    further step: the bundle is the best epoch so far, and the checkpoints stay.

    Raises UsageError while another process does the same training, Interrupted after SIGTERM and Ctrl-C, InputError
    when there is nothing to finish, and what `train` does; faults say what was kept.
    """
    if fresh and finish:
        raise UsageError("--fresh throws away what --finish would make a bundle of", hint="choose one of the two")
    recipe = recipe_of(request)
    check_request(request, recipe)
    mark = fingerprint(request, recipe)
    name = mark[:MARK_DIGITS]
    busy = UsageError("another process is at this very training", hint="wait for it; both would do the same work")
    with only_one(checkpoints, name, busy=busy), sigterm_as_ctrl_c():
        place = checkpoints / name
        if fresh:
            shutil.rmtree(place, ignore_errors=True)
        kept = Checkpoints(str(place), mark, listeners.say)
        around = Surroundings(kept, on_resume=listeners.on_resume, say=listeners.say, finish=finish)
        try:
            bundle = train(request, listeners.on_progress, listeners.on_epoch, around, fresh=fresh)
        except KeyboardInterrupt:
            raise Interrupted(
                f"the training was stopped{_kept_words(kept, '; ')}", hint="run the same command again to go on"
            ) from None
        except Fault as error:
            hint = f"{error.hint or 'look at the message'}{_kept_words(kept, '; ', finish=True)}"
            raise Fault(error.message, hint=hint) from error
        if not finish:
            shutil.rmtree(place, ignore_errors=True)
    return bundle


def _kept_words(kept: Checkpoints, before: str, *, finish: bool = False) -> str:
    epochs = kept.epochs_kept()
    if not epochs:
        return ""
    words = f"{before}{epochs} {'epoch is' if epochs == 1 else 'epochs are'} kept"
    return f"{words} (the same command with --finish makes a bundle of the best)" if finish else words
