"""Draw a whole sample: a folder in the Kaggle layout, over several processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np

from cxr.errors import Fault, InputError
from cxr.files import write_bytes_atomically
from cxr.manifests.sample.anatomy import draw_chest, make_build
from cxr.manifests.sample.canvas import make_canvas
from cxr.manifests.sample.cast import Exposure, cast
from cxr.manifests.sample.disease import add_findings
from cxr.manifests.sample.film import develop
from cxr.progress import Progress, silent

#: Images a worker takes at a time.
IMAGES_PER_TASK = 8


def draw_sample(folder: Path, *, images: int = 600, seed: int = 7, on_progress: Progress = silent) -> None:
    """Draw `images` synthetic radiographs into FOLDER/{train,val,test}/{NORMAL,PNEUMONIA}, named as in the Kermany
    release.

    The same seed gives the same bytes (with the same Pillow and numpy). Each file's JPEG comment says that it is
    synthetic. The folder may exist; files of the same names are replaced.

    Raises UsageError for too few images, InputError when `folder` is a file, NotAllowed when it cannot be written,
    Fault when one of the processes is killed.
    """
    exposures = cast(images, seed)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file, not a folder", hint="name a folder: cxr data sample DIR")
    tasks = [exposures[start : start + IMAGES_PER_TASK] for start in range(0, images, IMAGES_PER_TASK)]
    done = 0
    # Fresh processes: a fork of a process with threads (TensorFlow, a web server) may hang.
    context = multiprocessing.get_context("spawn")
    workers = os.cpu_count() or 1
    with ProcessPoolExecutor(max_workers=workers, mp_context=context, initializer=_follow_parent) as pool:
        try:
            with _ctrl_c_waits():
                counts = pool.map(partial(_draw_batch, folder), tasks)
            for count in counts:
                done += count
                on_progress(done, images, "")
        except BrokenProcessPool:
            raise Fault(
                "a process that drew images was killed, by hand or because the memory was full",
                hint="close other programs, then run the same command again",
            ) from None
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def draw_image(exposure: Exposure) -> bytes:
    """One synthetic radiograph: the bytes of a grey JPEG, about 240 to 360 pixels wide."""
    build = make_build(np.random.default_rng(exposure.patient_seed))
    rng = np.random.default_rng(exposure.image_seed)
    width = int(rng.integers(270, 361))
    height = int(width / rng.uniform(1.08, 1.35))
    canvas = make_canvas(width, height, rng)
    chest = draw_chest(canvas, build, rng)
    attenuation = add_findings(chest.attenuation, chest.lungs, canvas, exposure.kind, rng)
    return develop(attenuation, rng)


@contextmanager
def _ctrl_c_waits() -> Iterator[None]:
    """Hold Ctrl-C back while processes are started: they inherit that, and leave it to their parent from the first."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _follow_parent() -> None:
    """End with the parent even when it is killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_exit_after, args=(parent,), daemon=True).start()


def _exit_after(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)


def _draw_batch(folder: Path, batch: Sequence[Exposure]) -> int:
    for exposure in batch:
        write_bytes_atomically(folder / exposure.name, draw_image(exposure))
    return len(batch)
