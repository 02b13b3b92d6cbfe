"""Where cxr works and with what: cxr.toml, then environment, then flags (later wins)."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from pathlib import Path

from cxr.documents import parse_toml
from cxr.errors import InputError, UsageError

CONFIG_NAME = "cxr.toml"
ENVIRONMENT_PREFIX = "CXR_"
#: The number of a user whose cxr.toml is obeyed as one's own.
TRUST = "CXR_TRUST_OWNER"


class Target(StrEnum):
    """Where `cxr cloud` works. The emulator is the default, so that nothing is billed by accident."""

    EMULATOR = "emulator"
    GCP = "gcp"
    AWS_LOCAL = "aws-local"
    AWS = "aws"

    @property
    def billed(self) -> bool:
        """Whether what is launched there costs money; the others are servers on this machine."""
        return self in {Target.GCP, Target.AWS}


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings every cloud command shares. `project` is Google's project or the number of an Amazon account,
    `region` None for the cloud's usual one; `role` is the ARN that SageMaker's jobs run as, `instance_profile` the name
    or ARN of what machines of EC2 may do."""

    on: Target = Target.EMULATOR
    project: str | None = None
    region: str | None = None
    bucket: str | None = None
    prefix: str = "cxr"
    prices: str | None = None
    role: str | None = None
    instance_profile: str | None = None
    state_dir: Path = Path(".cxr")

    @property
    def journal_path(self) -> Path:
        """The job journal (one JSON object a line)."""
        return self.state_dir / "jobs.jsonl"

    @property
    def emulator_dir(self) -> Path:
        """Where the emulator of this working folder keeps its state."""
        return self.state_dir / "emulator"

    @property
    def aws_local_dir(self) -> Path:
        """The same for the server that stands for Amazon."""
        return self.state_dir / "aws-local"


def load_settings(
    flags: Mapping[str, str | Path | None] | None = None,
    *,
    config: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Settings:
    """Read `cxr.toml` (from the working folder unless `config` is given), then `CXR_*`, then `flags`.

    Raises InputError when the file is not TOML, UsageError for an unknown key or an `on` that does not exist.
    """
    merged: dict[str, str | Path] = {}
    merged.update(_from_file(config or Path(CONFIG_NAME), required=config is not None))
    merged.update(_from_environment(os.environ if environment is None else environment))
    merged.update({key: value for key, value in (flags or {}).items() if value is not None})
    return _settings_from(merged)


def _known_keys() -> set[str]:
    return {field.name for field in fields(Settings)}


def _from_file(path: Path, *, required: bool) -> dict[str, str]:
    try:
        if not required:
            _check_owner(path)
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        if required:
            raise InputError(f"there is no settings file {path}") from None
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path}: {error}") from error
    try:
        table = parse_toml(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path} is not valid TOML: {error}") from error
    unknown = sorted(set(table) - _known_keys())
    if unknown:
        raise UsageError(
            f"{path} has an unknown key {unknown[0]!r}", hint=f"known keys: {', '.join(sorted(_known_keys()))}"
        )
    wrong = sorted(key for key, value in table.items() if not isinstance(value, str))
    if wrong:
        raise UsageError(f"{path}: {wrong[0]!r} must be a text in quotes")
    return dict(table)


def _check_owner(path: Path) -> None:
    """A file of another user's, found where one happens to work, says where images are sent and what is billed. Root
    works in everybody's folders, and files of root's are as good as one's own. CXR_TRUST_OWNER=NUMBER trusts one user
    more: a colleague's shared folder, or a folder that a container sees under another number."""
    owner = path.stat().st_uid
    if os.geteuid() and owner not in {0, os.geteuid()} and os.environ.get(TRUST) != str(owner):
        raise InputError(
            f"{path} belongs to another user (number {owner}) and is not obeyed",
            hint=f"read it, then {TRUST}={owner} cxr …, or take it over: cp it, or change its owner",
        )


def _from_environment(environment: Mapping[str, str]) -> dict[str, str]:
    names = {ENVIRONMENT_PREFIX + key.upper(): key for key in _known_keys()}
    return {key: environment[name] for name, key in names.items() if environment.get(name)}


def _settings_from(merged: Mapping[str, str | Path]) -> Settings:
    settings = Settings()
    for key, value in merged.items():
        if key == "on":
            try:
                settings = replace(settings, on=Target(str(value)))
            except ValueError:
                raise UsageError(
                    f"there is no cloud called {str(value)!r}", hint=f"choose one of: {', '.join(Target)}"
                ) from None
        elif key == "state_dir":
            settings = replace(settings, state_dir=Path(value))
        else:
            settings = replace(settings, **{key: str(value)})  # type: ignore[arg-type]
    return settings
