"""Which paths belong to the small APIs; nothing heavy is imported to tell."""

from __future__ import annotations


def is_project(segments: tuple[str, ...]) -> bool:
    """Whether a path belongs to one of the small APIs."""
    match segments:
        case ("token",) | ("v3", "projects", *_) | ("v1", "operations", "build", *_):
            return True
        case ("v1", "projects", _, "builds" | "services" | "services:batchGet", *_):
            return True
        case ("v1", "projects", _, "locations", _, "builds", *_):
            return True
        case ("v1", "projects", _, "locations", _, "services", _, "quotaInfos", *_):
            return True
    return False
