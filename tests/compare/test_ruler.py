"""What may not stand in one table is refused before anything is scored."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cxr.bundle import Bundle
from cxr.compare.ruler import check_ruler
from cxr.errors import CxrError, InputError, RulerMismatch, UsageError
from cxr.manifests.manifest import new_manifest


def altered(bundle: Bundle, **changes) -> Bundle:
    return Bundle(bundle.folder.with_name("altered"), replace(bundle.info, **changes))


def refusal(bundles, manifest) -> CxrError:
    with pytest.raises(CxrError) as caught:
        check_ruler(bundles, manifest, "test")
    assert caught.value.hint or isinstance(caught.value, UsageError)
    return caught.value


def test_bundles_of_this_manifest_are_let_through(world):
    check_ruler(world.bundles, world.manifest, "test")


def test_a_bundle_of_another_manifest_is_refused_naming_both_hashes(world):
    error = refusal([world.keras, altered(world.keras, manifest_hash="ab" * 32)], world.manifest)
    assert isinstance(error, RulerMismatch)
    assert error.exit_code == 5
    assert "abababababab" in error.message
    assert world.manifest.hash[:12] in error.message
    assert "--manifest" in error.hint


def test_a_bundle_that_does_not_say_its_manifest_is_refused_with_these_words(world):
    error = refusal([altered(world.keras, manifest_hash="")], world.manifest)
    assert isinstance(error, RulerMismatch)
    assert "does not say which manifest it was trained on" in error.message
    assert "cxr export import" in error.hint


@pytest.mark.parametrize("theirs", ["", "ab" * 32])
def test_a_manifest_without_a_hash_is_nobodys(world, theirs):
    blank = replace(world.manifest, header=replace(world.manifest.header, content_hash=""))
    error = refusal([altered(world.keras, manifest_hash=theirs)], blank)
    assert ("has no hash" in error.message) is bool(theirs)


def test_bundles_of_other_classes_are_refused_naming_both(world):
    other = altered(world.saved_model, classes=("BACTERIAL", "PNEUMONIA"))
    error = refusal([world.keras, other], world.manifest)
    assert isinstance(error, RulerMismatch)
    assert "NORMAL, PNEUMONIA" in error.message
    assert "BACTERIAL, PNEUMONIA" in error.message


def test_classes_in_another_order_are_the_same_task(world):
    check_ruler([world.keras, altered(world.tflite, classes=("PNEUMONIA", "NORMAL"))], world.manifest, "test")


def test_classes_that_are_not_the_manifests_are_refused(world):
    error = refusal([altered(world.keras, classes=("A", "PNEUMONIA"))], world.manifest)
    assert isinstance(error, RulerMismatch)
    assert "the manifest's labels are NORMAL, PNEUMONIA" in error.message


def test_another_positive_class_is_refused(world):
    error = refusal([world.keras, altered(world.tflite, positive_class="NORMAL")], world.manifest)
    assert isinstance(error, RulerMismatch)
    assert "calls PNEUMONIA positive" in error.message


def test_the_same_bundle_twice_is_refused(world):
    assert isinstance(refusal([world.keras, world.keras], world.manifest), UsageError)


def test_no_bundle_is_refused(world):
    assert isinstance(refusal([], world.manifest), UsageError)


def test_an_empty_test_split_is_refused(world):
    frame = world.manifest.frame
    manifest = new_manifest(frame[frame["split"] != "test"], world.manifest.header, world.manifest_path)
    error = refusal([altered(world.keras, manifest_hash=manifest.hash)], manifest)
    assert isinstance(error, InputError)
    assert "has no test images" in error.message


@pytest.mark.parametrize(("split", "next_step"), [("validation", "cxr data split"), ("test", "test/<label>/")])
def test_an_empty_split_is_refused_with_what_makes_it(world, split, next_step):
    frame = world.manifest.frame
    manifest = new_manifest(frame[frame["split"] != split], world.manifest.header, world.manifest_path)
    with pytest.raises(InputError, match=f"has no {split} images") as error:
        check_ruler([altered(world.keras, manifest_hash=manifest.hash)], manifest, split)
    assert next_step in error.value.hint


def test_a_test_split_of_one_class_is_refused(world):
    frame = world.manifest.frame
    keep = (frame["split"] != "test") | (frame["label"] == "NORMAL")
    manifest = new_manifest(frame[keep], world.manifest.header, world.manifest_path)
    error = refusal([altered(world.keras, manifest_hash=manifest.hash)], manifest)
    assert isinstance(error, InputError)
    assert "all 20 test images" in error.message
