"""What `--engine ec2` does: one instance that trains, sends its bundle to the bucket, and shuts itself down.

EC2 knows machines, not jobs: a job is the instance that carries its id as a tag, and what that leaves in the job's
folder of the bucket (`exit.json` says how it ended).
"""

from __future__ import annotations

from cxr.cloud.aws.ec2.launch import submit
from cxr.cloud.aws.ec2.leftovers import leftovers, remove
from cxr.cloud.aws.ec2.logs import last_lines, log_lines
from cxr.cloud.aws.ec2.rules import RULES, check_profile, notes, rows, worst_hours
from cxr.cloud.aws.ec2.states import cancel, find_launched, labelled, look, model_output, run_time, unfinished

__all__ = [
    "RULES",
    "cancel",
    "check_profile",
    "find_launched",
    "labelled",
    "last_lines",
    "leftovers",
    "log_lines",
    "look",
    "model_output",
    "notes",
    "remove",
    "rows",
    "run_time",
    "submit",
    "unfinished",
    "worst_hours",
]
