"""The noun of random changes: what a training image may look like."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Random changes of training images. `zoom` z scales height and width independently by 1-z..1+z, `shift` moves by
    a share of the side.

    No horizontal flip unless a recipe asks: the heart is on the left, and a mirrored chest is another diagnosis (situs
    inversus).
    """

    zoom: float = 0.0
    shift: float = 0.0
    horizontal_flip: bool = False

    def times(self, strength: float) -> Augmentation:
        """The same changes, `strength` times as large."""
        return replace(self, zoom=self.zoom * strength, shift=self.shift * strength)


#: Images as they are.
NOTHING = Augmentation()
