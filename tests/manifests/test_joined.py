from __future__ import annotations

import random
import time

from hypothesis import given
from hypothesis import strategies as st

from cxr.manifests.joined import Joined

NAMES = st.sampled_from([f"n{number}" for number in range(12)])


def components_by_looking(groups: list[list[str]]) -> dict[str, set[str]]:
    """Name -> all that can be reached from it, found by going on until nothing is added."""
    reached = {name: {name} for group in groups for name in group}
    changed = True
    while changed:
        changed = False
        for group in groups:
            together = set().union(*(reached[name] for name in group))
            for name in together:
                changed |= reached[name] != together
                reached[name] = set(together)
    return reached


@given(st.lists(st.lists(NAMES, min_size=1, max_size=4), max_size=15), st.randoms(use_true_random=False))
def test_the_connected_have_one_leader_and_nobody_else_has_it(groups: list[list[str]], chance: random.Random) -> None:
    joined, shuffled = Joined(), Joined()
    for group in groups:
        joined.join(group)
    for group in sorted(groups, key=lambda _: chance.random()):
        shuffled.join(reversed(group))
    expected = {name: min(together) for name, together in components_by_looking(groups).items()}
    assert joined.leaders() == shuffled.leaders() == expected


@given(st.lists(st.tuples(NAMES, NAMES), max_size=15))
def test_the_leader_is_the_first_by_the_order_that_was_asked_for(pairs: list[tuple[str, str]]) -> None:
    joined = Joined(lambda name: -int(name[1:]))
    for pair in pairs:
        joined.join(pair)
    reached = components_by_looking([list(pair) for pair in pairs])
    expected = {name: max(together, key=lambda one: int(one[1:])) for name, together in reached.items()}
    assert joined.leaders() == expected


def test_a_name_alone_leads_itself_and_none_is_nothing() -> None:
    joined = Joined()
    joined.join([])
    assert joined.leaders() == {}
    joined.join(["one"])
    joined.join(["two", "two"])
    assert joined.leaders() == {"one": "one", "two": "two"}


def test_a_long_chain_is_walked_once_whichever_way_it_was_told() -> None:
    names = [f"{number:06d}" for number in range(100_000)]
    for pairs in (zip(names[1:], names, strict=False), zip(names[-2::-1], names[:0:-1], strict=False)):
        joined = Joined()
        start = time.process_time()  # of this process alone: others do not count
        for pair in pairs:
            joined.join(pair)
        assert set(joined.leaders().values()) == {names[0]}
        assert time.process_time() - start < 20
