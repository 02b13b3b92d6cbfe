"""What the trainer's log says of how far it is."""

from __future__ import annotations

import re
from typing import Any, Final

from cxr.cloud.jobs.seen import LogLine

#: What the trainer writes after each epoch (EpochResult.line, training/epochs.py), and what Keras writes.
_EPOCH: Final = re.compile(r"\bepoch (\d+)/(\d+)\b", re.IGNORECASE)


def epoch_in(line: LogLine) -> dict[str, Any]:
    """`epoch`, `epochs` and `measured_at` (ISO time) when the line tells them, else nothing."""
    found = _EPOCH.search(line.text)
    return {"epoch": int(found[1]), "epochs": int(found[2]), "measured_at": line.at} if found else {}
