"""One call of SageMaker's API, and what the handlers of calls share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cxr.cloud.aws.local.answers import Answer, JsonObject

#: A call's handler; what it gives is the answer's document.
Handler = Callable[["Call"], Answer | JsonObject]


class RefusedError(Exception):
    """moto has refused a call; its answer is the answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


@dataclass(frozen=True, slots=True)
class Call:
    """An action's body, its region, and a way to let moto answer it."""

    body: JsonObject
    region: str
    ask_moto: Callable[[Mapping[str, Any]], Answer]

    def forward(self, body: Mapping[str, Any] | None = None) -> Answer:
        """moto's answer to this body or another. Raises RefusedError when moto refuses it."""
        answer = self.ask_moto(self.body if body is None else body)
        if not answer.is_good:
            raise RefusedError(answer)
        return answer


def page_of(items: list[Any], body: Mapping[str, Any], key: str) -> JsonObject:
    """A list's part that MaxResults and NextToken (the index of its first item) ask for."""
    start = int(body.get("NextToken") or 0)
    end = start + int(body.get("MaxResults") or 100)
    return {key: items[start:end], **({"NextToken": str(end)} if end < len(items) else {})}
