"""Recipes as data: the nouns, the recipes themselves by family, and the table of their names."""

from cxr.local_baseline.recipes.ancestors import CNN5 as CNN5
from cxr.local_baseline.recipes.augmentation import NOTHING as NOTHING
from cxr.local_baseline.recipes.augmentation import Augmentation as Augmentation
from cxr.local_baseline.recipes.edge import EDGE as EDGE
from cxr.local_baseline.recipes.flagship import FLAGSHIP as FLAGSHIP
from cxr.local_baseline.recipes.nouns import (
    IMAGENET as IMAGENET,
)
from cxr.local_baseline.recipes.nouns import (
    KEEP_LAST as KEEP_LAST,
)
from cxr.local_baseline.recipes.nouns import (
    NO_WEIGHTS as NO_WEIGHTS,
)
from cxr.local_baseline.recipes.nouns import (
    Activation as Activation,
)
from cxr.local_baseline.recipes.nouns import (
    Architecture as Architecture,
)
from cxr.local_baseline.recipes.nouns import (
    BackboneKind as BackboneKind,
)
from cxr.local_baseline.recipes.nouns import (
    BatchNorm as BatchNorm,
)
from cxr.local_baseline.recipes.nouns import (
    Budget as Budget,
)
from cxr.local_baseline.recipes.nouns import (
    ChosenOn as ChosenOn,
)
from cxr.local_baseline.recipes.nouns import (
    Constant as Constant,
)
from cxr.local_baseline.recipes.nouns import (
    Cosine as Cosine,
)
from cxr.local_baseline.recipes.nouns import (
    EarlyStopping as EarlyStopping,
)
from cxr.local_baseline.recipes.nouns import (
    Optimizer as Optimizer,
)
from cxr.local_baseline.recipes.nouns import (
    OptimizerKind as OptimizerKind,
)
from cxr.local_baseline.recipes.nouns import (
    Plateau as Plateau,
)
from cxr.local_baseline.recipes.nouns import (
    Pooling as Pooling,
)
from cxr.local_baseline.recipes.nouns import (
    Precision as Precision,
)
from cxr.local_baseline.recipes.nouns import (
    Recipe as Recipe,
)
from cxr.local_baseline.recipes.nouns import (
    Sampling as Sampling,
)
from cxr.local_baseline.recipes.nouns import (
    Stage as Stage,
)
from cxr.local_baseline.recipes.nouns import (
    Supervision as Supervision,
)
from cxr.local_baseline.recipes.nouns import (
    Teacher as Teacher,
)
from cxr.local_baseline.recipes.nouns import (
    Trains as Trains,
)
from cxr.local_baseline.recipes.registry import RECIPES as RECIPES
from cxr.local_baseline.recipes.registry import find_recipe as find_recipe
from cxr.local_baseline.recipes.transfer import MOBILENET_V2 as MOBILENET_V2
