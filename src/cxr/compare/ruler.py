"""What may stand in one table: models of one manifest and one task, on a test split that has something in it."""

from __future__ import annotations

from collections.abc import Sequence

from cxr.bundle import Bundle
from cxr.errors import InputError, RulerMismatch, UsageError
from cxr.manifests.manifest import Manifest

#: How many hexadecimal digits of a hash are shown to people.
SHOWN_DIGITS = 12


def check_ruler(bundles: Sequence[Bundle], manifest: Manifest, split: str) -> None:
    """Refuse what cannot be compared, before anything is scored.

    Raises UsageError for no bundle or one given twice, InputError for an empty split, RulerMismatch (naming both
    sides) for a bundle of another manifest and for bundles with other classes or another positive class.
    """
    if not bundles:
        raise UsageError("there is nothing to compare", hint="name one bundle or more: cxr compare BUNDLE…")
    check_split(manifest, split)
    _check_distinct(bundles)
    for bundle in bundles:
        check_manifest(bundle, manifest)
    for bundle in bundles:
        _check_task(bundle, bundles[0], manifest)


def check_manifest(bundle: Bundle, manifest: Manifest) -> None:
    """Refuse a bundle that was trained on another manifest: its training images might be this manifest's test
    images. Raises RulerMismatch for one of another or of none that is known, InputError for a manifest without a
    hash."""
    theirs, ours = bundle.info.manifest_hash, manifest.hash
    if not theirs:
        raise RulerMismatch(
            f"{bundle.folder} does not say which manifest it was trained on: it may have learned from these very "
            "images",
            hint="where it was trained on this manifest's training images, import it again with that said: "
            "cxr export import … --manifest MANIFEST",
        )
    if not ours:
        raise InputError(
            f"{_place(manifest)} has no hash: no bundle can have been trained on it",
            hint="write it anew: cxr data scan DIR, cxr data split",
        )
    if theirs != ours:
        raise RulerMismatch(
            f"{bundle.folder} was trained on the manifest {short(theirs)}, but {_place(manifest)} is the manifest "
            f"{short(ours)}: numbers from different splits do not belong in one table",
            hint="give the manifest that it was trained on (--manifest), or train it again on this one",
        )


def check_split(manifest: Manifest, split: str) -> None:
    """Raises InputError for a split without images, or without images of one of the classes."""
    labels = manifest.split(split)["label"]
    if labels.empty:
        raise InputError(
            f"{_place(manifest)} has no {split} images: there is nothing to judge the models on",
            hint=_more_images(split, "the test images"),
        )
    if labels.nunique() < 2:
        raise InputError(
            f"all {len(labels):,} {split} images of {_place(manifest)} are {labels.iloc[0]}: "
            "specificity and AUC need two classes",
            hint=_more_images(split, "images of the other class"),
        )
    _check_all_classes(manifest, split)


def _check_all_classes(manifest: Manifest, split: str) -> None:
    absent = sorted(set(manifest.classes) - set(manifest.split(split)["label"]))
    if absent:
        raise InputError(
            f"{_place(manifest)} has no {split} images of {', '.join(absent)}: the models cannot be judged on that",
            hint=_more_images(split, "such images"),
        )


def _more_images(split: str, which: str) -> str:
    if split == "validation":
        return "make a validation split of whole patients: cxr data split"
    return f"put {which} into a folder {split}/<label>/ and scan again: cxr data scan DIR"


def short(digest: str) -> str:
    """The first digits of a hash, for people."""
    return digest[:SHOWN_DIGITS]


def _check_distinct(bundles: Sequence[Bundle]) -> None:
    seen: dict[str, Bundle] = {}
    for bundle in bundles:
        if bundle.hash in seen:
            raise UsageError(f"{seen[bundle.hash].folder} and {bundle.folder} are the same bundle")
        seen[bundle.hash] = bundle


def _check_task(bundle: Bundle, first: Bundle, manifest: Manifest) -> None:
    if set(bundle.info.classes) != set(first.info.classes):
        raise RulerMismatch(
            f"{first.folder} tells apart {_listed(first)}, {bundle.folder} {_listed(bundle)}: not the same task",
            hint="compare models of the same classes only",
        )
    if set(bundle.info.classes) != set(manifest.classes):
        raise RulerMismatch(
            f"{bundle.folder} tells apart {_listed(bundle)}, the manifest's labels are {', '.join(manifest.classes)}",
            hint="train it on this manifest, or give the manifest that it was trained on (--manifest)",
        )
    if bundle.info.positive_class != first.info.positive_class:
        raise RulerMismatch(
            f"{first.folder} calls {first.info.positive_class} positive, {bundle.folder} {bundle.info.positive_class}",
            hint="sensitivity means something else in each of them: train them with the same positive class",
        )


def _listed(bundle: Bundle) -> str:
    return ", ".join(bundle.info.classes)


def _place(manifest: Manifest) -> str:
    return str(manifest.location) if manifest.location else "the given manifest"
