"""The options that the train commands share, and `--plan` with or without a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer.core import TyperCommand

from cxr.errors import UsageError

if TYPE_CHECKING:
    from cxr.local_baseline.recipes import Recipe

#: What `--plan` without a file stands for.
NO_FILE = "-"
#: Days after which a price is told to be old.
OLD_AFTER_DAYS = 90
#: Options that go together with --apply: they say how to execute a plan, not what it is.
BESIDE_APPLY = frozenset({"apply", "yes", "json", "quiet", "state_dir", "max_cost", "prices", "allow_partial"})

Again = Annotated[bool, typer.Option("--again", help="Launch anew even if this plan has succeeded before.")]
PlanTo = Annotated[
    str | None,
    typer.Option(
        "--plan",
        metavar="[FILE]",
        help="Show the plan with its cost (save it to FILE) and stop; asks nobody, needs no account.",
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="The same as --plan without a file.")]
Apply = Annotated[Path | None, typer.Option("--apply", metavar="FILE", help="Launch exactly this saved plan.")]
MaxCost = Annotated[float | None, typer.Option("--max-cost", min=0, help="Refuse what may cost more USD than this.")]
Prices = Annotated[str | None, typer.Option("--prices", metavar="FILE", help="Your own prices; see cxr cloud prices.")]
Machine = Annotated[
    str | None, typer.Option("--machine", help="Machine type [default: g2-standard-4; on Amazon ml.g4dn.xlarge].")
]
Engine = Annotated[
    str | None,
    typer.Option("--engine", help="On Amazon: sagemaker (default), or ec2 for one machine that ends by itself."),
]
ModelType = Annotated[
    str | None,
    typer.Option(
        "--model-type",
        help="On Google: mobile-versatile (default), mobile-low-latency, mobile-high-accuracy or cloud.",
    ),
]
BudgetNodeHours = Annotated[
    float | None,
    typer.Option("--budget-node-hours", help="On Google: the most that training may use: 1-100, cloud models 8-800."),
]
BudgetHours = Annotated[
    float | None, typer.Option("--budget-hours", help="On Amazon: Autopilot is ended after this long.")
]
Gpus = Annotated[
    int | None, typer.Option("--gpus", min=0, help="GPUs of one machine [default: those the machine type has].")
]
Accelerator = Annotated[
    str | None, typer.Option("--accelerator", help="GPU type, where the machine type leaves a choice (n1-…).")
]
Replicas = Annotated[int, typer.Option("--replicas", min=1, help="Machines that train together.")]
Spot = Annotated[
    bool | None,
    typer.Option(
        "--spot/--no-spot", help="Spot capacity: cheaper, and can be taken back [default: no; with --engine ec2 yes]."
    ),
]
DiskGb = Annotated[int, typer.Option("--disk-gb", min=100, max=64000, help="Boot disk of each machine, GB.")]
Epochs = Annotated[int | None, typer.Option("--epochs", min=1, help="Epochs, if not the recipe's.")]
Seed = Annotated[int, typer.Option("--seed", min=0, max=2**32 - 1, help="Seed of everything random.")]
Weights = Annotated[
    str | None, typer.Option("--weights", help="none, imagenet, or a .h5 file [default: the recipe's].")
]
Image = Annotated[str | None, typer.Option("--image", help="Container image with TensorFlow; see cxr cloud image.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a setting of the recipe; may be given several times."),
]


class PlanCommand(TyperCommand):
    """A command whose `--plan` may stand alone: Typer itself knows no option with an optional value."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Give a `--plan` that no file follows the value `-`."""
        given = [
            f"--plan={NO_FILE}" if word == "--plan" and (not rest or rest[0].startswith("-")) else word
            for word, rest in ((word, args[place + 1 :]) for place, word in enumerate(args))
        ]
        return super().parse_args(ctx, given)


@dataclass(frozen=True, slots=True)
class LaunchWishes:
    """What to do with a plan: only show or save it, apply a saved one, bound its cost (`max_cost` in USD; None: no
    bound), launch it again."""

    plan: str | None
    dry_run: bool
    apply: Path | None
    max_cost: float | None
    again: bool
    yes: bool

    @property
    def plan_only(self) -> bool:
        """Whether nothing is to be launched."""
        return self.dry_run or self.plan is not None

    @property
    def save_to(self) -> Path | None:
        """The file that the plan goes to."""
        return Path(self.plan) if self.plan not in {None, NO_FILE} else None


def check_apply_alone(ctx: typer.Context) -> None:
    """Raises UsageError for options that would change a saved plan."""
    given = {
        name
        for name in ctx.params
        if (source := ctx.get_parameter_source(name)) is not None and source.name == "COMMANDLINE"
    }
    others = sorted(given - BESIDE_APPLY)
    if others:
        flags = {parameter.name: parameter.opts[0] for parameter in ctx.command.params}
        raise UsageError(
            f"--apply executes the plan as it was saved, so {flags.get(others[0], others[0])} has no place beside it",
            hint="leave it out, or make a new plan with it",
        )


def planned_epochs(recipe: Recipe, images: int, weights: str) -> int:
    """Passes over the training images that a recipe makes at most; a head is trained on features computed once."""
    from cxr.local_baseline.recipes import NO_WEIGHTS, Trains

    stages = recipe.pretrained if weights != NO_WEIGHTS and recipe.pretrained else recipe.scratch
    return sum(
        1 if stage.trains is Trains.HEAD else stage.budget.epochs_for(images, recipe.batch_size) for stage in stages
    )
