"""What a tuning job in the cloud searches, and what its trials share: the plan shows only settings that trials have."""

from __future__ import annotations

from pathlib import Path

import pytest

from cxr.cli.cloud.train_makers import TrialSettings, chosen_recipe, trial_settings
from cxr.errors import UsageError


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A recipe's file with settings that a search varies, and one that it does not."""
    path = tmp_path / "mine.toml"
    path.write_text(
        'base = "mobilenet-v2"\nweights = "imagenet"\nbatch_size = 16\nlabel_smoothing = 0.1\n'
        '[optimizer]\nkind = "sgd"\n[stages.head.optimizer]\nlearning_rate = 0.01\n'
    )
    return path


def searched(settings: TrialSettings) -> set[str]:
    return {parameter["id"] for parameter in settings.space}


def test_what_is_set_is_not_searched(mine: Path) -> None:
    settings = trial_settings(None, chosen_recipe(str(mine), None), ["batch_size=8"])
    assert "batch-size" not in searched(settings)
    assert {"learning-rate", "optimizer"} <= searched(settings)
    # The file's optimizer is searched: no trial has it. The head's learning rate is not.
    assert settings.overrides == ("label_smoothing=0.1", "head.optimizer.learning_rate=0.01", "batch_size=8")


def test_what_a_recipes_file_says_of_a_searched_parameter_is_left_out(mine: Path) -> None:
    settings = trial_settings(None, chosen_recipe(str(mine), None), [])
    assert {"batch-size", "optimizer", "learning-rate"} <= searched(settings)
    assert settings.overrides == ("label_smoothing=0.1", "head.optimizer.learning_rate=0.01")


def test_the_space_is_that_of_the_recipe_with_its_changes(mine: Path) -> None:
    chosen = chosen_recipe(str(mine), None)
    assert "activation" not in searched(trial_settings(None, chosen, []))
    assert "activation" in searched(trial_settings(None, chosen, ["head_units=64"]))


def test_a_space_that_searches_what_is_set_is_refused(mine: Path, tmp_path: Path) -> None:
    space = tmp_path / "space.toml"
    space.write_text('recipe = "mobilenet-v2"\n[[parameter]]\nid = "dropout"\nkind = "double"\nlow = 0\nhigh = 0.5\n')
    chosen = chosen_recipe(str(mine), None)
    assert searched(trial_settings(space, chosen, [])) == {"dropout"}
    assert "batch_size=16" in trial_settings(space, chosen, []).overrides
    with pytest.raises(UsageError, match="dropout is set for all trials, and searched too"):
        trial_settings(space, chosen, ["dropout=0.1"])


def test_a_recipe_with_teachers_cannot_be_sent(tmp_path: Path) -> None:
    path = tmp_path / "taught.toml"
    path.write_text('base = "edge"\n[[teacher]]\nbase = "edge"\n')
    with pytest.raises(UsageError, match="has teachers, which a job cannot be told of"):
        chosen_recipe(str(path), None)
