"""Distillation: nets that are trained first, and whose probabilities the recipe's own net then learns.

The teachers see the very images that the student sees, augmented alike, so that it learns their function and not only
their opinion of the training set (function matching: Beyer et al., Knowledge distillation: a good teacher is patient
and consistent, CVPR 2022; Hinton et al., Distilling the knowledge in a neural network, 2015). They stay at home: the
bundle holds the student and says who taught it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from cxr.bundle import BUNDLE_FILE, Bundle, ModelFormat, Origin
from cxr.errors import UsageError
from cxr.local_baseline.models.build import SCORES, keras_name
from cxr.local_baseline.models.keras_files import load_keras
from cxr.local_baseline.recipes import Recipe, Teacher
from cxr.local_baseline.request import LARGEST_SEED, TrainRequest, check_request, fingerprint, recipe_of
from cxr.local_baseline.tensorflow_setup import load
from cxr.local_baseline.training.checkpoints import MARK_DIGITS
from cxr.local_baseline.training.lessons import TrainedTeacher
from cxr.local_baseline.training.stages import Surroundings
from cxr.progress import Progress

#: The folder of finished teachers in the cache, each under the beginning of its fingerprint.
TEACHERS_FOLDER = "teachers"
#: What `--set` says of the student and means for its teachers too: they share the machine's memory.
SHARED_OVERRIDES = ("batch_size",)

Train = Callable[[TrainRequest, Progress, Surroundings | None], Bundle]


def check_teachers(request: TrainRequest, recipe: Recipe) -> None:
    """Raises UsageError or InputError, before anything is decoded, for teachers that cannot be trained or cannot teach
    this recipe."""
    for teacher in recipe.teachers if recipe.teacher_share else ():
        if teacher.recipe.supervision is not recipe.supervision:
            raise UsageError(
                f"the teacher {teacher.name} is trained on {teacher.recipe.supervision}, {recipe.name} on "
                f"{recipe.supervision}: its classes are others"
            )
        asked = teacher_request(request, teacher)
        taught = recipe_of(asked)
        check_request(asked, taught)
        check_teachers(asked, taught)


def teacher_request(request: TrainRequest, teacher: Teacher) -> TrainRequest:
    """The training of a teacher: the student's data, length and `--set batch_size`, its own recipe, seed and place in
    the cache."""
    asked = replace(
        request,
        recipe=teacher.recipe.name,
        variant=teacher.recipe,
        overrides={key: value for key, value in request.overrides.items() if key in SHARED_OVERRIDES},
        seed=(request.seed + teacher.seed) % (LARGEST_SEED + 1),
        weights=teacher.weights or request.weights,
        format=ModelFormat.KERAS,
        origin=Origin.BASELINE,
        name=teacher.name,
    )
    mark = fingerprint(asked, recipe_of(asked))
    return replace(asked, output=request.cache_dir / TEACHERS_FOLDER / mark[:MARK_DIGITS])


def trained_teachers(
    request: TrainRequest, recipe: Recipe, train: Train, on_progress: Progress, surroundings: Surroundings | None
) -> tuple[TrainedTeacher, ...]:
    """The recipe's teachers, trained one after the other, or taken from the cache: one that is finished is known by its
    fingerprint, so that a training that was killed goes on with the next. With `surroundings` each has checkpoints of
    its own beside the student's."""
    teachers = recipe.teachers if recipe.teacher_share else ()
    if teachers and surroundings is not None:
        # A process that trains a teacher waits for the others at every step: all must have the same ones to train.
        places = [teacher_request(request, teacher).output for teacher in teachers]
        surroundings.replicas.check_same(
            sum((_of_process(place, surroundings) / BUNDLE_FILE).exists() for place in places)
        )
    return tuple(_trained(request, teacher, train, on_progress, surroundings) for teacher in teachers)


def _trained(
    request: TrainRequest, teacher: Teacher, train: Train, on_progress: Progress, surroundings: Surroundings | None
) -> TrainedTeacher:
    asked = teacher_request(request, teacher)
    mark = fingerprint(asked, recipe_of(asked))
    around = None
    if surroundings is not None:
        checkpoints = surroundings.checkpoints.of(mark) if surroundings.checkpoints is not None else None
        around = replace(surroundings, checkpoints=checkpoints, on_resume=lambda history: None)
        asked = replace(asked, output=_of_process(asked.output, surroundings))

    def tell(done: int, total: int, note: str) -> None:
        on_progress(done, total, note if note == "decoding" else f"teacher {teacher.name}: {note}")

    bundle = train(asked, tell, around)
    provenance = bundle.info.provenance
    described = {
        "name": teacher.name,
        "recipe": teacher.recipe.name,
        "seed": asked.seed,
        "fingerprint": mark,
        "validation_auc": provenance["validation_auc"],
        "training_seconds": provenance["training_seconds"],
        "parameters": provenance["parameters"],
    }
    return TrainedTeacher(_net(bundle), teacher.recipe.preprocessing, described)


def _of_process(place: Path, surroundings: Surroundings) -> Path:
    """A place of each process's own: those of one machine share the cache."""
    index = surroundings.replicas.cluster.index
    return place if index == 0 else place.with_name(f"{place.name}-{index}")


def _net(bundle: Bundle) -> Any:
    """The bundle's model up to the scores, before finer classes are added up."""
    keras = load().keras
    model = load_keras(bundle.model_path)
    return keras.Model(model.input, model.get_layer(SCORES).output, name=f"teacher_{keras_name(bundle.info.name)}")
