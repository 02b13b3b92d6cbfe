"""The noun of random changes: what a training image may look like."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Random changes of training images, in the order in which they are made; 0 leaves that part as it is.

    Geometry: `zoom` z enlarges or shrinks by a factor between exp(-z) and exp(z), uniform in the logarithm; `aspect` a
    stretches height against width by a factor between exp(-a) and exp(a); `shift` moves by up to that share of the
    side; `rotation` turns by up to so many degrees; `black` is the share of images with black outside of what was
    there (around the others the edge is repeated). A notebook's `zoom_range=z`, which draws height and width on their
    own, has the spread of zoom 0.7 z with aspect 1.4 z.

    Grey levels: `bands` multiplies the fine, middle and coarse detail by factors of their own, up to exp(bands) for the
    finest: blur, sharpening and local contrast at once, as the processing of radiographs does it (multiscale contrast
    amplification: Vuylsteke and Schoeters, SPIE 2167, 1994); `blur` is the share of images that lose most of their
    finest detail; `contrast` c multiplies the deviation from the image's mean by exp(-c) to exp(c); `brightness` adds
    up to that share of the range; `gamma` g raises to a power between exp(-g) and exp(g); `noise` is the largest
    standard deviation of Gaussian noise, as a share of the range; `erase` is the share of images in which a rectangle
    gets one grey level (random erasing: Zhong et al., AAAI 2020).

    No horizontal flip unless a recipe asks: the heart is on the left, and a mirrored chest is another diagnosis (situs
    inversus).
    """

    zoom: float = 0.0
    aspect: float = 0.0
    shift: float = 0.0
    rotation: float = 0.0
    black: float = 0.0
    bands: float = 0.0
    blur: float = 0.0
    contrast: float = 0.0
    brightness: float = 0.0
    gamma: float = 0.0
    noise: float = 0.0
    erase: float = 0.0
    horizontal_flip: bool = False

    def times(self, strength: float) -> Augmentation:
        """The same changes, `strength` times as large; what happens to a share of the images happens to so many times
        as many."""
        scaled = {name: getattr(self, name) * strength for name in MAGNITUDES}
        shares = {name: min(getattr(self, name) * strength, 1.0) for name in SHARES}
        changed: dict[str, float] = {**scaled, **shares}
        return replace(self, **changed)  # type: ignore[arg-type]

    @property
    def moves(self) -> bool:
        """Whether pixels come from elsewhere. `black` alone moves nothing."""
        return bool(self.zoom or self.aspect or self.shift or self.rotation or self.horizontal_flip)


#: Fields that say of how many images something happens to.
SHARES = ("black", "blur", "erase")
#: All other fields with a size.
MAGNITUDES = tuple(
    field.name for field in fields(Augmentation) if field.name not in SHARES and field.name != "horizontal_flip"
)
#: Images as they are.
NOTHING = Augmentation()
