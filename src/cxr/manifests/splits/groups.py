"""Who must stay together: patients, joined where their images are duplicates of each other."""

from __future__ import annotations

from typing import Final

import pandas as pd

from cxr.manifests.joined import Joined

#: What a group's key begins with; its first patient follows.
KEY_PREFIX: Final = "patient:"


def group_keys(frame: pd.DataFrame) -> pd.Series:
    """One key per row, shared by all rows that a patient or a duplicate group connects, directly or through others.

    The key is `patient:` and the component's first patient in order, so it does not depend on the order of the rows.
    """
    patients = frame["patient"]
    roots = _roots_of_joined(frame)
    first = patients.map(roots).fillna(patients) if roots else patients
    return (KEY_PREFIX + first.astype("object")).astype("object")


def _roots_of_joined(frame: pd.DataFrame) -> dict[str, str]:
    """Patient -> first patient of its component, for patients that share a duplicate group with others."""
    copies = frame.loc[frame["duplicate_group"] != "", ["duplicate_group", "patient"]]
    joined = Joined()
    for _, members in copies.groupby("duplicate_group", sort=False)["patient"]:
        joined.join(members)
    return joined.leaders()
