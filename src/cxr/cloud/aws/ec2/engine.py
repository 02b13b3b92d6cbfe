"""What the engine offers to the rest of Amazon's code."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cxr.cloud.aws.sagemaker.custom import RULES
from cxr.cloud.connection import Connection
from cxr.cloud.seen import Seen

__all__ = ["RULES"]


def check_profile(connection: Connection) -> None: ...


def notes(options: Any) -> tuple[str, ...]:
    return ()


def submit(*args: Any, **kwargs: Any) -> Any: ...


def find_launched(plan: Any) -> Seen | None:
    return None


def look(connection: Connection, resource: str) -> Seen:
    raise NotImplementedError


def cancel(connection: Connection, resource: str) -> None: ...


def labelled(connection: Connection) -> Iterator[Seen]:
    return iter(())


def unfinished(connection: Connection) -> Iterator[Seen]:
    return iter(())


def log_lines(*args: Any, **kwargs: Any) -> Any: ...


def last_lines(*args: Any, **kwargs: Any) -> Any: ...


def model_output(*args: Any, **kwargs: Any) -> Any: ...


def run_time(*args: Any, **kwargs: Any) -> Any: ...
