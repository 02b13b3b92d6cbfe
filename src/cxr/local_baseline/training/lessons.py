"""What the teachers of a training say of a batch of images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cxr.bundle import Preprocessing
from cxr.local_baseline.tensorflow_setup import load
from cxr.local_baseline.training.objective import softened

#: A batch, float32 [B, H, W, C] of 0..255 -> the teachers' mean probabilities, float32 [B, outputs], or None without.
Lessons = Callable[[Any], Any]


@dataclass(frozen=True)
class TrainedTeacher:
    """A teacher ready to teach. `net` gives the probabilities of what the student is trained on (finer classes
    included) for pixels 0..255 of its own `contract`; `described` are plain values for the provenance."""

    net: Any
    contract: Preprocessing
    described: dict[str, Any]


def lessons_of(
    teachers: Sequence[TrainedTeacher], temperature: float, on_replicas: Callable[[Any], Any] = lambda net: net
) -> Lessons:
    """The mean of the teachers' probabilities, each softened by `temperature`, of images made for another size.
    `on_replicas` copies a net to where it is used."""
    nets = [on_replicas(teacher.net) for teacher in teachers]

    def lessons(images: Any) -> Any:
        if not nets:
            return None
        opinions = [
            softened(net(as_seen_by(teacher.contract, images), training=False), temperature)
            for net, teacher in zip(nets, teachers, strict=True)
        ]
        return sum(opinions) / len(opinions)

    return lessons


def as_seen_by(contract: Preprocessing, images: Any) -> Any:
    """Images float32 [B, H, W, C] in a contract's size and channels: made smaller with antialiasing, larger without."""
    tf = load().tf
    height, width, channels = images.shape[1:]
    if (height, width) != (contract.height, contract.width):
        smaller = contract.height < height or contract.width < width
        images = tf.image.resize(images, (contract.height, contract.width), antialias=smaller)
    if channels == contract.channels:
        return images
    return tf.repeat(images, 3, axis=-1) if channels == 1 else tf.image.rgb_to_grayscale(images)
