"""What hangs together, directly or through others: names that are joined, each component under its first."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any


class Joined:
    """Names (of patients, of contents) joined into components (union and find). The first of a component, by `order` (a
    key that no two names share; None: the names themselves), leads it, whoever was joined when."""

    def __init__(self, order: Callable[[str], Any] | None = None) -> None:
        self._order = order
        self._parent: dict[str, str] = {}

    def join(self, names: Iterable[str]) -> None:
        """These names belong together, whatever each of them is joined with already. A single one is noted."""
        leaders = sorted({self._leader(name) for name in names}, key=self._order)
        for other in leaders[1:]:
            self._parent[other] = leaders[0]

    def leaders(self) -> dict[str, str]:
        """Every name that was told -> the first of its component."""
        return {name: self._leader(name) for name in self._parent}

    def _leader(self, name: str) -> str:
        leader = name
        while self._parent.setdefault(leader, leader) != leader:
            leader = self._parent[leader]
        # The way is made short, so that a long chain is walked once.
        while self._parent[name] != leader:
            self._parent[name], name = leader, self._parent[name]
        return leader
