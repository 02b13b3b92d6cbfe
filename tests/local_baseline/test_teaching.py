"""Distillation: what teachers say of a batch, what the student makes of it, and that a killed training keeps them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cxr.bundle import read_bundle
from cxr.errors import UsageError
from cxr.local_baseline.judging.scoring import scorer
from cxr.local_baseline.recipes import CNN5, EDGE, Constant, Optimizer, Recipe, Supervision, Teacher
from cxr.local_baseline.request import TrainRequest, fingerprint, recipe_of
from cxr.local_baseline.tensorflow_setup import load
from cxr.local_baseline.train import train
from cxr.local_baseline.training.fitting import fit_stage
from cxr.local_baseline.training.lessons import TrainedTeacher, as_seen_by, lessons_of
from cxr.local_baseline.training.objective import cross_entropy, objective, softened
from cxr.local_baseline.training.pipeline import TrainingData
from cxr.local_baseline.training.teaching import TEACHERS_FOLDER, check_teachers, teacher_request
from cxr.manifests.manifest import Manifest


def contract(size: int, channels: Any = 1) -> Any:
    return replace(CNN5.preprocessing, height=size, width=size, channels=channels)


class Says:
    """A net that says the same of every image, whatever its size."""

    def __init__(self, *probabilities: float) -> None:
        self._probabilities = list(probabilities)
        self.shapes: list[tuple[int, ...]] = []

    def __call__(self, images: Any, training: bool) -> Any:
        assert not training
        self.shapes.append(tuple(images.shape))
        return load().tf.constant([self._probabilities] * int(images.shape[0]))


def test_the_lesson_is_the_mean_of_what_the_teachers_say_of_images_in_their_size() -> None:
    one, other = Says(0.2, 0.8), Says(0.6)
    teachers = [TrainedTeacher(one, contract(8), {}), TrainedTeacher(other, contract(16, 3), {})]
    lesson = lessons_of(teachers, 1.0)(load().tf.zeros((3, 8, 8, 1))).numpy()
    assert lesson == pytest.approx(np.array([[0.3, 0.7]] * 3), abs=1e-6)
    assert (one.shapes, other.shapes) == ([(3, 8, 8, 1)], [(3, 16, 16, 3)])
    assert lessons_of([], 1.0)(load().tf.zeros((3, 8, 8, 1))) is None


def test_images_are_seen_in_another_size_and_as_many_channels() -> None:
    tf = load().tf
    ramp = tf.constant(np.broadcast_to(np.arange(16, dtype=np.float32)[:, None, None], (2, 16, 16, 1)))
    smaller = as_seen_by(contract(8), ramp).numpy()
    assert smaller.shape == (2, 8, 8, 1)
    assert np.allclose(np.diff(smaller[0, 1:-1, 0, 0]), 2.0, atol=0.01)
    assert as_seen_by(contract(16), ramp) is ramp
    colour = as_seen_by(contract(16, 3), ramp)
    assert np.allclose(as_seen_by(contract(16), colour).numpy(), ramp.numpy(), atol=1e-2)


def test_temperature_divides_the_logits() -> None:
    tf = load().tf
    logits = np.array([[2.0, -1.0, 0.5]])
    at = lambda t: np.exp(logits / t) / np.exp(logits / t).sum()  # noqa: E731
    assert softened(tf.constant(at(1.0), tf.float32), 3.0).numpy() == pytest.approx(at(3.0), rel=1e-4)
    assert softened(tf.constant([[0.8]]), 1.0).numpy() == pytest.approx(np.array([[0.2, 0.8]]), rel=1e-5)


@pytest.mark.parametrize(("share", "temperature"), [(1.0, 1.0), (0.25, 1.0), (0.5, 2.0)])
def test_the_loss_mixes_teachers_and_labels(share: float, temperature: float) -> None:
    tf = load().tf
    recipe = replace(CNN5, teacher_share=share, teacher_temperature=temperature)
    lesson, scores = tf.constant([[0.3, 0.7]]), tf.constant([[0.6]])
    targets, weights = tf.constant([1]), tf.constant([2.0])
    student = softened(scores, temperature).numpy()
    of_teacher = temperature**2 * -(lesson.numpy() * np.log(student)).sum()
    of_label = 2.0 * -np.log(0.6)
    expected = share * of_teacher + (1 - share) * of_label
    assert objective(recipe)(lesson, targets, weights, scores).numpy() == pytest.approx([expected], rel=1e-4)
    alone = objective(recipe)(None, targets, weights, scores).numpy()
    assert alone == pytest.approx(2.0 * cross_entropy(targets, scores, 0.0).numpy())


def test_a_student_learns_what_its_teacher_says_and_not_the_labels() -> None:
    keras = load().keras
    rng = np.random.default_rng(0)
    images = rng.normal(0, 1, (80, 4, 4, 1)).astype(np.float32)
    data = TrainingData(images, np.arange(80) % 2, np.arange(60), np.arange(60, 80), 2)  # labels of no meaning

    def net() -> Any:
        keras.utils.set_random_seed(0)
        layers = [keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(1, activation="sigmoid")]
        return keras.Sequential(layers)

    teacher, student = net(), net()
    teacher.set_weights([np.ones((16, 1), np.float32), np.zeros(1, np.float32)])
    before = teacher.get_weights()
    stage = CNN5.scratch[0]
    stage = replace(stage, optimizer=Optimizer(0.05), schedule=Constant())
    fit_stage(
        student,
        data,
        replace(CNN5, batch_size=20),
        replace(stage, early_stopping=replace(stage.early_stopping, patience=99, min_delta=-99.0)),
        positive=1,
        epochs=30,
        seed=1,
        on_step=lambda step, loss: None,
        on_epoch=lambda result: None,
        teachers=[TrainedTeacher(teacher, contract(4), {})],
    )
    ours, theirs = (scorer(each)(images, data.validation)[:, 1] for each in (student, teacher))
    assert np.corrcoef(ours, theirs)[0, 1] > 0.9
    assert all(np.array_equal(one, other) for one, other in zip(teacher.get_weights(), before, strict=True))


def edge(size: int, **changes: Any) -> Recipe:
    small = replace(EDGE.preprocessing, height=size, width=size)
    return replace(EDGE, preprocessing=small, batch_size=16, **changes)


def student_recipe(**changes: Any) -> Recipe:
    teachers = (Teacher("large", edge(40, name="edge-40"), seed=1), Teacher("same", edge(32, name="edge-32"), seed=2))
    return edge(32, name="taught", **{"teachers": teachers, **changes})


def request_of(manifest: Manifest, cache: Path, output: Path, **changes: Any) -> TrainRequest:
    root = str(manifest.root)
    return TrainRequest(manifest, root, "taught", output, cache, epochs=1, variant=student_recipe(**changes))


@pytest.mark.slow
def test_teachers_are_trained_first_kept_and_named(small_manifest: Manifest, tmp_path: Path) -> None:
    request = request_of(small_manifest, tmp_path / "cache", tmp_path / "run")
    notes: list[str] = []

    def die_in_the_student(done: int, total: int, note: str) -> None:
        notes.append(note)
        if note.startswith("epoch"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(request, die_in_the_student)
    assert [name for name in ("teacher large", "teacher same") if any(note.startswith(name) for note in notes)] == [
        "teacher large",
        "teacher same",
    ]
    folder = tmp_path / "cache" / TEACHERS_FOLDER
    made = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert len(list(folder.iterdir())) == 2
    notes.clear()
    bundle = train(request, lambda done, total, note: notes.append(note))
    assert not any(note.startswith("teacher") for note in notes)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == made
    lines = bundle.info.provenance["teachers"]
    assert [(line["name"], line["recipe"], line["seed"]) for line in lines] == [
        ("large", "edge-40", 8),
        ("same", "edge-32", 9),
    ]
    for line in lines:
        kept = read_bundle(folder / line["fingerprint"][:16]).info
        assert kept.provenance["fingerprint"] == line["fingerprint"]
        assert kept.provenance["validation_auc"] == line["validation_auc"]
    assert [file.path for file in bundle.info.files if file.path.endswith(".keras")] == ["model.keras"]


def test_a_share_of_nothing_trains_no_teacher(small_manifest: Manifest, cache_dir: Path, tmp_path: Path) -> None:
    request = request_of(small_manifest, tmp_path / "cache", tmp_path / "run", teacher_share=0.0)
    bundle = train(request, lambda done, total, note: None)
    assert "teachers" not in bundle.info.provenance
    assert not (tmp_path / "cache" / TEACHERS_FOLDER).exists()


def test_teachers_are_part_of_the_fingerprint(small_manifest: Manifest, tmp_path: Path) -> None:
    request = request_of(small_manifest, tmp_path, tmp_path)
    recipe = student_recipe()
    first, second = recipe.teachers
    other = replace(recipe, teachers=(first, replace(second, seed=3)))
    assert fingerprint(request, recipe) != fingerprint(request, other)
    assert teacher_request(request, first).output != teacher_request(request, second).output


def test_a_batch_size_of_set_is_the_teachers_too(small_manifest: Manifest, tmp_path: Path) -> None:
    request = request_of(small_manifest, tmp_path, tmp_path)
    smaller = replace(request, overrides={"batch_size": 4, "dropout": 0.5})
    first = student_recipe().teachers[0]
    taught = recipe_of(teacher_request(smaller, first))
    assert (taught.batch_size, taught.dropout) == (4, first.recipe.dropout)
    assert teacher_request(smaller, first).output != teacher_request(request, first).output


@pytest.mark.slow
def test_fresh_trains_teachers_anew(small_manifest: Manifest, tmp_path: Path) -> None:
    request = request_of(small_manifest, tmp_path / "cache", tmp_path / "run", teachers=student_recipe().teachers[1:])

    def trained(*, fresh: bool) -> set[str]:
        notes: list[str] = []
        train(request, lambda done, total, note: notes.append(note), fresh=fresh)
        return {note.split(":")[0] for note in notes if note.startswith("teacher")}

    assert trained(fresh=False) == {"teacher same"}
    assert trained(fresh=False) == set()
    assert trained(fresh=True) == {"teacher same"}


@pytest.mark.slow
def test_a_recipe_file_with_a_teacher_is_trained(small_manifest: Manifest, tmp_path: Path) -> None:
    path = tmp_path / "taught.toml"
    path.write_text('base = "edge"\nteacher_share = 0.5\n[[teacher]]\nbase = "edge"\ndropout = 0.5\n')
    request = replace(
        request_of(small_manifest, tmp_path / "cache", tmp_path / "run"),
        variant=None,
        recipe=str(path),
        overrides={"batch_size": 12},
    )
    bundle = train(request, lambda done, total, note: None)
    (teacher,) = bundle.info.provenance["teachers"]
    assert (teacher["name"], teacher["recipe"], teacher["seed"]) == ("teacher-1", "edge", 8)


def test_a_teacher_of_other_classes_is_refused_before_anything_is_decoded(
    small_manifest: Manifest, tmp_path: Path
) -> None:
    teacher = Teacher("finer", edge(32, supervision=Supervision.ETIOLOGY))
    request = request_of(small_manifest, tmp_path, tmp_path / "run", teachers=(teacher,))
    with pytest.raises(UsageError, match="the teacher finer is trained on etiology, taught on labels"):
        check_teachers(request, student_recipe(teachers=(teacher,)))
