"""What changed between two manifests."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from manifest_rows import manifest_of, row

from cxr.manifests.diff import Change, diff_manifests
from cxr.manifests.manifest import SplitPolicy

NAMES = st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=8, unique=True)


def test_every_kind_of_change_is_told_once() -> None:
    before = manifest_of([row("a", "A"), row("b", "A"), row("c", "B"), row("d", "B", split="test")])
    renamed = row("e", "B", sha256=before.frame["sha256"].iloc[1], md5=before.frame["md5"].iloc[1])
    after = manifest_of(
        [row("a", "B"), renamed, row("d", "B", split="train"), row("f", "B")],
        split_policy=SplitPolicy("grouped", validation=0.1, seed=7),
    )
    found = diff_manifests(before, after)
    assert (found.added, found.removed, found.renamed) == (("f",), ("c",), (("b", "e"),))
    assert found.changes == (
        Change("a", "label", "A", "B"),
        Change("d", "split", "test", "train"),
        Change("e", "label", "A", "B"),
        Change("e", "patient", "image:b", "image:e"),
    )
    assert found.moves() == {("test", "train"): 1}
    assert [name for name, _, _ in found.header] == ["split_policy"]
    assert not found.is_empty


def test_images_known_only_by_a_listing_are_followed_by_size_and_crc32c() -> None:
    bare = {"sha256": "", "md5": "", "size": 5, "crc32c": "AAAAAA=="}
    found = diff_manifests(manifest_of([row("a", "A", **bare)]), manifest_of([row("b", "A", **bare)]))
    assert found.renamed == (("a", "b"),)
    nothing = {"sha256": "", "md5": "", "crc32c": ""}
    found = diff_manifests(manifest_of([row("a", "A", **nothing)]), manifest_of([row("b", "A", **nothing)]))
    assert (found.renamed, found.added, found.removed) == ((), ("b",), ("a",))


@given(NAMES, NAMES, st.sampled_from("AB"))
@settings(max_examples=40, deadline=None)
def test_the_parts_add_up_and_the_way_back_is_the_mirror(left: list[str], right: list[str], label: str) -> None:
    before = manifest_of([row(name, "A") for name in left])
    after = manifest_of([row(name, label) for name in right])
    found, back = diff_manifests(before, after), diff_manifests(after, before)
    assert len(left) + len(found.added) - len(found.removed) == len(right)
    assert (found.added, found.removed) == (back.removed, back.added)
    assert found.is_empty == (before.hash == after.hash)
    assert len(found.changes) == len(back.changes)
