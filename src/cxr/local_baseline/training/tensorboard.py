"""TensorBoard's event file of a training, written here and sent to where it is wanted after each epoch."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cxr.local_baseline.tensorflow_setup import load
from cxr.local_baseline.training.epochs import EpochResult
from cxr.local_baseline.training.failures import only_said
from cxr.storage import open_store

SCALARS = ("loss", "val_loss", "val_auc", "val_accuracy", "learning_rate")


class TensorBoardLog:
    """The scalars of each epoch at `url` (gs://, s3:// or a folder); the step is the epoch, counted over all stages.

    TensorFlow's own file system is not used for buckets: it would find neither another endpoint nor our retries. A
    place that cannot be written, or a full temporary disk, does not end the training: `say` hears of it.
    """

    def __init__(self, url: str, say: Callable[[str], None]) -> None:
        self._store = open_store(url)
        self._say = say
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._writer: Any = None

    def on_epoch(self, step: int, result: EpochResult) -> None:
        """Write one epoch's scalars and send the file."""
        with only_said(self._say, "TensorBoard's file was not sent", load().tf.errors.OpError):
            for path in self._written(step, result).iterdir():
                self._store.replace_file(path.name, path)

    def _written(self, step: int, result: EpochResult) -> Path:
        """The folder of the file here, with the epoch added."""
        tf = load().tf
        if self._folder is None:
            folder = tempfile.TemporaryDirectory(prefix="cxr-tensorboard-")
            self._writer = tf.summary.create_file_writer(folder.name)
            self._folder = folder
        # What tf.summary.scalar writes; that itself needs the package tensorboard, which TensorFlow no longer brings.
        metadata = tf.compat.v1.SummaryMetadata(data_class="DATA_CLASS_SCALAR")
        metadata.plugin_data.plugin_name = "scalars"
        with self._writer.as_default(step=step):
            for name in SCALARS:
                tf.summary.write(name, tf.constant(getattr(result, name), tf.float32), metadata=metadata)
        self._writer.flush()
        return Path(self._folder.name)
