"""How programs that make image classifiers prepare an image, as preprocessing contracts.

Sources: Google's readers for AutoML's edge models; Teachable Machine's library, `cropTensor` and `capture` of
https://github.com/googlecreativelab/teachablemachine-community (libraries/image/src/utils/tf.ts: the largest centred
square, then x / 127 - 1) and the Python code that it gives with its exports, which divides by 127.5: at most 0.008
apart, and the exports' own code decides here.
"""

from __future__ import annotations

from cxr.bundle import Preprocessing

#: How the service's own readers prepare an image for its edge models: 224 x 224 RGB out of the largest centred square.
#: The TFLite model takes uint8 and scales inside; the TF.js model wants x / 127.5 - 1 from whoever feeds it.
AUTOML_PREPROCESSING = Preprocessing(224, 224, 3, "center-crop", scale=1 / 127.5, offset=-1.0, scale_inside_model=True)
#: Teachable Machine's image models, Keras and TFLite alike: x / 127.5 - 1 from whoever feeds them.
TEACHABLE_PREPROCESSING = Preprocessing(
    224, 224, 3, "center-crop", scale=1 / 127.5, offset=-1.0, scale_inside_model=False
)
