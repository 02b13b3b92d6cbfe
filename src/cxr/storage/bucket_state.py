"""What is known of a bucket, whichever cloud it is in; no SDK is needed to say it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

#: Members of an access policy who are nobody in particular.
EVERYBODY: Final = frozenset({"allUsers", "allAuthenticatedUsers"})


@dataclass(frozen=True, slots=True)
class BucketState:
    """A bucket as found: its location in lower case, or None when it does not exist; whether it is `private`, that is,
    prevents public access by enforcement, and has `uniform` access; the number of the project that it belongs to."""

    name: str
    location: str | None
    private: bool = True
    uniform: bool = True
    project_number: str = ""


def end_lists_command(name: str) -> str:
    """The command that makes a bucket's access uniform: access lists of the bucket, of single objects and of what is
    sent to it (default object ACLs) may name everybody, and count for nothing then."""
    return f"gcloud storage buckets update gs://{name} --uniform-bucket-level-access"
