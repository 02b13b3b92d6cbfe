"""The registry of clouds: which implementation of `Provider` is behind each target. Nothing else asks for a name."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, cast

from cxr.settings import Target

if TYPE_CHECKING:
    from cxr.cloud.provider import Provider

#: Target -> module and name of its provider; a cloud's code is loaded when it is first asked for.
PROVIDERS: Final[Mapping[Target, tuple[str, str]]] = {
    Target.EMULATOR: ("cxr.cloud.vertex.provider", "EMULATOR"),
    Target.GCP: ("cxr.cloud.vertex.provider", "GOOGLE"),
    Target.AWS_LOCAL: ("cxr.cloud.aws.provider", "LOCAL"),
    Target.AWS: ("cxr.cloud.aws.provider", "AMAZON"),
}


def provider_of(target: Target) -> Provider:
    """The cloud that a target is, or stands for."""
    module, name = PROVIDERS[target]
    return cast("Provider", getattr(importlib.import_module(module), name))
