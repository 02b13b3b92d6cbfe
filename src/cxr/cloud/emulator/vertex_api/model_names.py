"""Names of models, with and without a version."""

from __future__ import annotations

from cxr.cloud.emulator.errors import not_found

#: The only version there is, by its number and its alias.
VERSION, ALIAS = "1", "default"


def name_without_version(name: str) -> str:
    """`…/models/ID@1` and `…/models/ID@default` as `…/models/ID`. Raises 404 for another version."""
    head, slash, model_id = name.rpartition("/")
    return f"{head}{slash}{id_without_version(model_id)}"


def id_without_version(model_id: str) -> str:
    """`ID@1` and `ID@default` as `ID`. Raises 404 for another version."""
    plain, _, version = model_id.partition("@")
    if version not in {"", VERSION, ALIAS}:
        raise not_found(f"The model {plain} has no version {version!r}.")
    return plain
