"""What tells a replica about its cluster: CLUSTER_SPEC on every one, TF_CONFIG only when there are several.

All replicas are on this machine, so their addresses are ports of 127.0.0.1 that were free a moment before the start.
Source: https://cloud.google.com/vertex-ai/docs/training/distributed-training#cluster-variables (2026-10).
"""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

#: The role of each worker pool in TF_CONFIG; evaluators are no part of its cluster.
ROLES = ("chief", "worker", "ps", "evaluator")
HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Cluster:
    """A job's replicas: the addresses of each worker pool; a pool that is left out is empty."""

    pools: Sequence[Sequence[str]]
    job: Mapping[str, Any]
    job_id: str
    trial: str | None = None

    @property
    def is_distributed(self) -> bool:
        """Whether there are several replicas."""
        return sum(len(pool) for pool in self.pools) > 1

    def environment(self, pool: int, index: int) -> dict[str, str]:
        """The variables of one replica."""
        trial = {} if self.trial is None else {"trial": self.trial}
        shared = {"environment": "cloud", "job": self.job}
        spec = {
            "cluster": {f"workerpool{number}": list(hosts) for number, hosts in enumerate(self.pools) if hosts},
            **shared,
            "task": {"type": f"workerpool{pool}", "index": index, **trial},
        }
        variables = {"CLUSTER_SPEC": json.dumps(spec)}
        if self.is_distributed:
            roles = {
                role: list(hosts) for role, hosts in zip(ROLES, self.pools, strict=False) if hosts and role != ROLES[3]
            }
            task = {"type": ROLES[pool], "index": index, "cloud": self.job_id, **trial}
            variables["TF_CONFIG"] = json.dumps({"cluster": roles, **shared, "task": task})
        return variables


def free_addresses(counts: Sequence[int]) -> list[list[str]]:
    """So many addresses for each pool, all different and free at this moment."""
    with contextlib.ExitStack() as stack:
        pools: list[list[str]] = []
        for count in counts:
            pools.append([])
            for _ in range(count):
                listener = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
                listener.bind((HOST, 0))
                pools[-1].append(f"{HOST}:{listener.getsockname()[1]}")
        return pools
