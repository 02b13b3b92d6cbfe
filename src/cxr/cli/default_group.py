"""A group of commands that is a command itself: `cxr export runs/x` and `cxr export verify runs/x`."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand, TyperGroup


class DefaultCommand(TyperCommand):
    """The command that such a group is; its help shows the group's other commands too."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Options as ever, then the commands of the group that stands where this command was called."""
        super().format_options(ctx, formatter)
        group = ctx.parent.command.get_command(ctx.parent, ctx.info_name) if ctx.parent else None
        if isinstance(group, DefaultGroup):
            group.format_commands(ctx, formatter)


class DefaultGroup(TyperGroup):
    """What does not begin with the name of a command is for the command DEFAULT (register it hidden, with
    `cls=DefaultCommand`). A folder that is called like a command is written with a dot: `cxr export ./verify`."""

    DEFAULT = "bundle"

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """The context of the command DEFAULT under the group's own name, or the group's when a command is named."""
        if args and args[0] in self.commands and args[0] != self.DEFAULT:
            return super().make_context(info_name, args, parent=parent, **extra)
        return self.commands[self.DEFAULT].make_context(info_name, args, parent=parent, **extra)
