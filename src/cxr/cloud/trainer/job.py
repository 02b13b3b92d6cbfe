"""A job of the own trainer, whichever cloud runs it: what is asked for, what travels with it, what it is told.

The trainer is the project's own wheel, started in a public TensorFlow image.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cxr.cloud.hardware import Hardware
from cxr.cloud.jobs.estimates import Work
from cxr.cloud.plans.launch import LaunchPlan
from cxr.cloud.trainer.wheel import WHEEL_NAME, build_wheel
from cxr.errors import InputError, UsageError
from cxr.files import sha256_of_file
from cxr.manifests.manifest import Manifest

#: A public image of the TensorFlow version that the project pins.
PUBLIC_IMAGE = "docker.io/tensorflow/tensorflow:2.21.0-gpu"
#: An image's name as Docker takes it: registry, path, tag or digest. EC2's machine images (ami-…) fit, too.
_IMAGE = re.compile(r"[a-z0-9][A-Za-z0-9._:/@-]*")
HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
#: Words for weights that are no file.
WEIGHTS_WORDS = frozenset({"none", "imagenet"})
#: What the trainer reports after each epoch, and what a tuning service makes as large as it can.
METRIC = "val_auc"
#: A parameter of the search space as plain data: id, kind (double, integer, discrete, categorical), low and high
#: or values, scale (linear, log).
SpaceParameter = Mapping[str, Any]
#: Makes hardware of a saved request's words, as a provider's `choose_hardware`.
ChooseHardware = Callable[..., Hardware]
#: Makes of a search space what a service wants. Raises KeyError, TypeError or ValueError for one that is not whole.
CheckSpace = Callable[[Sequence[SpaceParameter]], object]


@dataclass(frozen=True, slots=True)
class CustomOptions:
    """What a GPU job runs and on what. `timeout_hours` bounds its cost; `overrides` are KEY=VALUE changes of the
    recipe; `engine` names a way to run it where the cloud has several."""

    recipe: str
    hardware: Hardware
    timeout_hours: float = 2.0
    epochs: int | None = None
    seed: int = 7
    weights: str = "none"
    image: str = PUBLIC_IMAGE
    overrides: tuple[str, ...] = ()
    engine: str = ""

    def request(self) -> dict[str, Any]:
        """What decides the job, for a plan. Raises InputError for a weights file that cannot be used, UsageError for
        what is no image's name."""
        check_image(self.image)
        hardware = self.hardware
        return {
            "recipe": self.recipe,
            "machine": hardware.machine,
            "accelerator": hardware.accelerator,
            "gpus": hardware.gpus,
            "replicas": hardware.replicas,
            "spot": hardware.spot,
            "disk_gb": hardware.disk_gb,
            "timeout_hours": self.timeout_hours,
            "image": self.image,
            "epochs": self.epochs,
            "seed": self.seed,
            "weights": _weights_identity(self.weights),
            "overrides": list(self.overrides),
            "trainer": f"{WHEEL_NAME} sha256:{hashlib.sha256(build_wheel()).hexdigest()[:16]}",
            **({"engine": self.engine} if self.engine else {}),
        }

    def shown(self) -> list[tuple[str, str]]:
        """The rows of a plan."""
        request = self.request()
        rows = [
            ("recipe", " ".join([self.recipe, *self.overrides])),
            *([("engine", self.engine)] if self.engine else []),
            ("machine", self.hardware.words),
            ("timeout", f"{self.timeout_hours:g} h"),
            ("epochs", str(self.epochs or "by the recipe")),
            ("seed", str(self.seed)),
            ("weights", request["weights"]),
            ("image", self.image),
            ("trainer", request["trainer"]),
        ]
        return rows


def options_from(request: Any, weights: str, choose: ChooseHardware) -> CustomOptions:
    """The options that a saved plan's request was made of; `weights` is a word or the path of the file now. Raises
    InputError when the request is not whole."""
    try:
        engine = str(request.get("engine", ""))
        hardware = choose(
            str(request["machine"]),
            gpus=int(request["gpus"]),
            accelerator=request["accelerator"],
            replicas=int(request["replicas"]),
            spot=bool(request["spot"]),
            disk_gb=int(request["disk_gb"]),
            **({"engine": engine} if engine else {}),
        )
        epochs = request["epochs"]
        return CustomOptions(
            recipe=str(request["recipe"]),
            hardware=hardware,
            timeout_hours=float(request["timeout_hours"]),
            epochs=None if epochs is None else int(epochs),
            seed=int(request["seed"]),
            weights=weights,
            image=str(request["image"]),
            overrides=tuple(str(one) for one in request["overrides"]),
            engine=engine,
        )
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(f"the plan's request is not whole: {error!r}", hint="make the plan anew") from error


@dataclass(frozen=True, slots=True)
class TuneOptions:
    """What each trial runs, over which space, and how many trials. The timeout of `trial` is that of one trial."""

    trial: CustomOptions
    space: tuple[SpaceParameter, ...]
    trials: int = 10
    parallel: int = 2

    def request(self) -> dict[str, Any]:
        """What decides the job, for a plan. Raises InputError for a weights file that cannot be used."""
        return {
            **self.trial.request(),
            "metric": METRIC,
            "trials": self.trials,
            "parallel": self.parallel,
            "space": [dict(parameter) for parameter in self.space],
        }


def tune_options_from(request: Any, weights: str, choose: ChooseHardware, check_space: CheckSpace) -> TuneOptions:
    """As `options_from`, of a tuning job. Raises InputError when the request is not whole."""
    try:
        space = tuple(dict(parameter) for parameter in request["space"])
        check_space(space)
        trials, parallel = int(request["trials"]), int(request["parallel"])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(f"the plan's request is not whole: {error!r}", hint="make the plan anew") from error
    return TuneOptions(options_from(request, weights, choose), space, trials, parallel)


def check_image(image: str) -> None:
    """Raises UsageError for what is no image's name: a job would wait for its machine and then fail to pull it."""
    if not _IMAGE.fullmatch(image):
        raise UsageError(f"{image!r} is no image", hint=f"an image looks like {PUBLIC_IMAGE}")


def check_trainable(manifest: Manifest) -> None:
    """Raises InputError when a split that training needs is empty."""
    for split in ("train", "validation"):
        if manifest.split(split).empty:
            raise InputError(f"the manifest has no {split} images", hint="make a validation split: cxr data split")


def job_output_url(plan: LaunchPlan) -> str:
    """Where the job writes: the model goes to `model/` under it."""
    return f"{plan.connection.base_url}/jobs/{plan.job_id}"


def work_of(manifest: Manifest, epochs: int | None) -> Work:
    """What a training on this manifest has to do."""
    return Work(len(manifest.split("train")), len(manifest.frame), epochs)


def trainer_arguments(manifest: str, options: CustomOptions, weights: str) -> list[str]:
    """The trainer's command line: `manifest` and `weights` as it finds them where it runs."""
    arguments = ["--manifest", manifest, "--recipe", options.recipe]
    arguments += ["--seed", str(options.seed), "--weights", weights, "--name", f"gpu-{options.recipe}"]
    if options.epochs is not None:
        arguments += ["--epochs", str(options.epochs)]
    for change in options.overrides:
        arguments += ["--set", change]
    return arguments


def _weights_identity(weights: str) -> str:
    # A file is named by what is in it, so that the same plan is the same job wherever the file lies.
    if weights in WEIGHTS_WORDS:
        return weights
    path = Path(weights)
    if not path.is_file():
        raise InputError(f"there is no weights file {path}", hint="--weights none, imagenet or a .h5 file")
    with path.open("rb") as stream:
        if stream.read(len(HDF5_MAGIC)) != HDF5_MAGIC:
            raise InputError(f"{path} is no HDF5 file", hint="weights are a .h5 file, as Keras writes them")
    return f"{path.name} sha256:{sha256_of_file(path)[:16]}"
