"""What `--drop-duplicates` drops must not take the tie between two patients with it."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from manifest_rows import manifest_of, row

from cxr.errors import InputError
from cxr.manifests.duplicates.same import drop_duplicates
from cxr.manifests.splits.groups import group_keys
from cxr.manifests.splits.split import make_validation


def test_patients_that_share_a_dropped_image_count_as_one() -> None:
    manifest = manifest_of(
        [
            row("test/a.jpeg", "A", patient="p", split="test", duplicate_group="same:1"),
            row("train/b.jpeg", "A", patient="q", duplicate_group="same:1"),
            row("train/c.jpeg", "A", patient="q"),
            row("train/d.jpeg", "B", patient="r"),
        ]
    )
    left = drop_duplicates(manifest)
    assert dict(zip(left.frame["path"], left.frame["patient"], strict=True)) == {
        "test/a.jpeg": "p",
        "train/c.jpeg": "p",
        "train/d.jpeg": "r",
    }
    told = [(found.rule, found.path) for found in left.header.problems]
    assert told == [("dropped-duplicate", "train/b.jpeg"), ("joined-patients", "test/a.jpeg")]
    assert "p, q share an image: they count as one, p" in left.header.problems[1].message


@given(
    st.lists(st.tuples(st.integers(0, 12), st.sampled_from(["", "", "x", "y", "z"])), min_size=8, max_size=40),
    st.integers(0, 5),
)
@settings(max_examples=30, deadline=None)
def test_what_stood_together_before_the_drop_stands_together_after(images: list[tuple[int, str]], seed: int) -> None:
    manifest = manifest_of(
        [
            row(f"{number:02d}.jpeg", "AB"[number % 2], patient=f"p{patient}", duplicate_group=group)
            for number, (patient, group) in enumerate(images)
        ]
    )
    group_before = dict(zip(manifest.frame["path"], group_keys(manifest.frame), strict=True))
    left = drop_duplicates(manifest)
    try:
        made = make_validation(left, validation=0.4, seed=seed)
    except InputError:
        return
    sides = made.frame.assign(group=made.frame["path"].map(group_before)).groupby("group")["split"].nunique()
    assert sides.max() == 1
