"""One training on several processors: GPUs of a machine, or machines named by TF_CONFIG.

The batch is the recipe's whatever their number: each replica takes its share of every batch, gradients are summed,
batch norm takes its statistics over the whole batch, and dropout draws for the whole batch and cuts out its share. So
the number of replicas decides how long a training takes, not what comes out of it (up to the rounding of sums). With
statistics of each replica's own share, the default elsewhere, a recipe's 32 images on eight replicas would be
normalised by four.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from cxr.errors import Fault, UsageError
from cxr.local_baseline.tensorflow_setup import CLUSTER_VARIABLE, load
from cxr.local_baseline.training.pipeline import Shares

#: What a replica is doing now: its place in the batch, for the dropout layers (one thread for each local replica).
CURRENT = threading.local()


@dataclass(frozen=True, slots=True)
class Cluster:
    """The processes of one training; the first is the chief, which alone writes. `index` is this one's number."""

    processes: int = 1
    index: int = 0


@dataclass(frozen=True)
class Replicas:
    """All replicas of a training as one of its processes sees them. `strategy` is None for a single one."""

    cluster: Cluster = field(default_factory=Cluster)
    strategy: Any = None

    @property
    def is_chief(self) -> bool:
        """Whether this process writes checkpoints, bundle and logs."""
        return self.cluster.index == 0

    @property
    def count(self) -> int:
        """Replicas of all processes."""
        return 1 if self.strategy is None else int(self.strategy.num_replicas_in_sync)

    @property
    def shares(self) -> Shares:
        """The parts of every batch that this process's replicas take."""
        local = self.count // self.cluster.processes
        return Shares(first=self.cluster.index * local, local=local, of=self.count)

    def scope(self) -> AbstractContextManager[Any]:
        """Where variables are made."""
        return nullcontext() if self.strategy is None else self.strategy.scope()

    def trainable(self, model: Any) -> Any:
        """The model itself, or its copy on all replicas, with batch norm and dropout over the whole batch."""
        if self.strategy is None:
            return model
        copy = load().keras.models.clone_model(model, clone_function=shared_layer, recursive=True)
        copy_variables(model, copy)
        return copy

    def iterate(self, dataset: Any) -> Iterator[Any]:
        """The batches; for several replicas, of a dataset without end: each is what all of this process's replicas
        take."""
        if self.strategy is None:
            return iter(dataset)
        tf = load().tf
        # Without an end TensorFlow need not ask all replicas before every batch whether there is another.
        endless = dataset.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))
        return iter(self.strategy.distribute_datasets_from_function(lambda context: endless))

    def step(self, replica_step: Callable[..., Any], batches: Any) -> Callable[..., Any]:
        """`replica_step(images, labels, weights, place) -> share of the loss` as one call for a batch of `batches`
        that gives the whole loss."""
        tf = load().tf
        signature = batches.element_spec
        if self.strategy is None:
            return tf.function(lambda *batch: replica_step(*batch), input_signature=signature, jit_compile=False)  # type: ignore[no-any-return]

        def placed(*batch: Any) -> Any:
            CURRENT.place = batch[-1]
            return replica_step(*batch)

        def whole(*batch: Any) -> Any:
            return self.strategy.reduce(tf.distribute.ReduceOp.SUM, self.strategy.run(placed, args=batch), axis=None)

        return tf.function(whole, input_signature=signature, jit_compile=False)  # type: ignore[no-any-return]

    def after_step(self, model: Any) -> None:
        """What a layer does for itself in a single replica: the next step's dropout is another."""
        if self.strategy is None:
            return
        for layer in model._flatten_layers(include_self=False, recursive=True):
            if isinstance(layer, load().keras.layers.Dropout) and layer.rate > 0:
                state = layer.seed_generator.state
                state.assign(np.asarray(state.numpy()) + np.array([0, 1], state.dtype))

    def gathered(self, rows: npt.NDArray[np.int64], score: Callable[[Any], npt.NDArray[Any]]) -> npt.NDArray[Any]:
        """`score(rows)`, float64 [rows, classes], each process doing its part; the same bits in all of them, so that
        all decide alike."""
        processes, index = self.cluster.processes, self.cluster.index
        mine = score(rows[index::processes])
        if processes == 1:
            return mine
        tf = load().tf
        scores = np.zeros((len(rows), mine.shape[1]))
        scores[index::processes] = mine
        # A process is heard once, through the first of its replicas.
        first = self.shares.first
        values = self.strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant(
                scores if context.replica_id_in_sync_group == first else np.zeros_like(scores), tf.float64
            )
        )
        return np.asarray(self.strategy.reduce(tf.distribute.ReduceOp.SUM, values, axis=None))

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Raises Fault when another process of the training went away, which TensorFlow says in words of its own. Its
        other errors (no memory, a wrong shape) are this process's own and stay what they are."""
        if self.cluster.processes == 1:
            yield
            return
        errors = load().tf.errors
        gone = (errors.UnavailableError, errors.AbortedError, errors.CancelledError, errors.DeadlineExceededError)
        try:
            yield
        except gone as error:
            first = str(error.message).strip().splitlines()[0] if error.message else type(error).__name__
            raise Fault(
                f"another machine of this training went away: {first}",
                hint="start the job again: it continues from its last checkpoint",
            ) from error

    def check_batches(self, images: int) -> None:
        """Raises UsageError when the smallest batch has fewer images than there are replicas."""
        if images < self.count:
            raise UsageError(
                f"batches of {images} images cannot be shared by {self.count} replicas",
                hint="use fewer machines or GPUs, or larger batches: --set batch_size=N",
            )

    def check_same(self, position: int) -> None:
        """Raises Fault when the processes stand at different places of the training: their checkpoints differ."""
        if self.cluster.processes == 1:
            return
        tf = load().tf
        values = self.strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant(position, tf.int64)
        )
        if int(self.strategy.reduce(tf.distribute.ReduceOp.SUM, values, axis=None)) != position * self.count:
            raise Fault(
                "the machines of this training found different checkpoints",
                hint="give all of them the same AIP_CHECKPOINT_DIR, a bucket or a shared folder",
            )


ALONE = Replicas()


def join(environment: Mapping[str, str]) -> Replicas:
    """The replicas of this process: a cluster when TF_CONFIG names one, all GPUs of this machine when it has several,
    else one. To be called before TensorFlow does anything. Raises UsageError for a TF_CONFIG that is none."""
    cluster = cluster_of(environment.get(CLUSTER_VARIABLE, ""))
    tf = load().tf
    if cluster.processes > 1:
        return Replicas(cluster, tf.distribute.MultiWorkerMirroredStrategy())
    if len(tf.config.list_physical_devices("GPU")) > 1:
        return Replicas(cluster, tf.distribute.MirroredStrategy())
    return ALONE


def cluster_of(text: str) -> Cluster:
    """Read TF_CONFIG as Vertex AI writes it: `cluster` with `chief` (or `master`) and `worker` lists, `task` with type
    and index. Empty text is a cluster of one. Raises UsageError for anything else, a parameter server included."""
    if not text.strip():
        return Cluster()
    try:
        raw = json.loads(text)
        cluster, task = raw.get("cluster") or {}, raw.get("task") or {}
        members = [(kind, number) for kind in _RANKS if kind in cluster for number in range(len(cluster[kind]))]
        others = sorted(set(cluster) - set(_RANKS))
        if not cluster or (len(members) == 1 and not others):
            return Cluster()
        me = (str(task["type"]), int(task["index"]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{CLUSTER_VARIABLE} cannot be read: {error!r}") from error
    if others:
        raise UsageError(f"{CLUSTER_VARIABLE} names tasks of the kind {others[0]!r}; chief and worker are known")
    if me not in members:
        raise UsageError(f"{CLUSTER_VARIABLE} says this is {me[0]} {me[1]}, which its cluster does not name")
    return Cluster(len(members), members.index(me))


#: The kinds of task, chief first.
_RANKS = ("chief", "master", "worker")


def copy_variables(source: Any, target: Any) -> None:
    """All variables of one model, the states of its random layers included, into another of the same layers."""
    for have, get in zip(source.variables, target.variables, strict=True):
        get.assign(have.numpy())
    for layer in target._flatten_layers(include_self=False, recursive=True):
        if isinstance(layer, load().keras.layers.Normalization):
            layer.finalize_state()  # it computes with copies of its variables


def shared_layer(layer: Any) -> Any:
    """A copy of a layer that works on the whole batch though it sees a share of it. Weights are not copied."""
    keras = load().keras
    if isinstance(layer, keras.layers.BatchNormalization):
        return keras.layers.BatchNormalization.from_config({**layer.get_config(), "synchronized": True})
    if isinstance(layer, keras.layers.Dropout):
        return _shared_dropout().from_config(layer.get_config())
    return layer.__class__.from_config(layer.get_config())


def _shared_dropout() -> Any:
    tf = load().tf
    dropout: Any = load().keras.layers.Dropout

    class SharedDropout(dropout):  # type: ignore[misc]
        """Draws what one replica would draw for the whole batch, and uses its share."""

        def call(self, inputs: Any, training: bool = False) -> Any:
            if not training or self.rate == 0:
                return inputs
            first, total = CURRENT.place[0], CURRENT.place[1]
            seed = tf.cast(self.seed_generator.state.value, tf.int32)
            shape = tf.shape(inputs)
            same = self.noise_shape or (None,) * len(inputs.shape)  # 1: one draw for the whole axis
            drawn = [shape[axis] if side is None else side for axis, side in enumerate(same)]
            whole = tf.stack([tf.cast(total, shape.dtype), *drawn[1:]])
            draws = tf.random.stateless_uniform(whole, seed, dtype=inputs.dtype, alg="auto_select")
            mine = draws[first : first + tf.cast(shape[0], first.dtype)]
            return tf.where(mine >= self.rate, inputs * (1.0 / (1.0 - self.rate)), tf.zeros_like(inputs))

    return SharedDropout
