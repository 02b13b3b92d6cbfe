"""The small world that comparisons are tested in."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


def _judged() -> ModuleType:
    """The helper module beside this file, under one name whatever pytest's import mode is."""
    name = "compare_judged"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name("judged.py"))
        assert spec
        assert spec.loader
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


@pytest.fixture(scope="session")
def judged() -> ModuleType:
    """The functions that make manifests and bundles."""
    pytest.importorskip("tensorflow", reason="scoring models needs the extra train")
    return _judged()


@pytest.fixture(scope="session")
def world(judged, tmp_path_factory):
    """Images, a manifest, and a bundle of each format."""
    return judged.make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="session")
def output(tmp_path_factory):
    """Where the comparison is, and its cache."""
    return tmp_path_factory.mktemp("compare")


@pytest.fixture(scope="session")
def comparison(judged, world, output):
    """The world's three bundles compared, with everything that is written."""
    # NumPy, pandas, TensorFlow: where there are tests that need it.
    from cxr.compare.comparison import compare

    return compare(
        world.bundles,
        world.manifest,
        output=output / "out",
        cache_dir=output / "cache",
        on_progress=judged.quiet,
        command="cxr compare a b c --manifest <manifest>.csv",
    )


@pytest.fixture(scope="session")
def drawn(comparison):
    """The comparison's plots: drawing takes seconds, and a page that differs in its words has the same ones."""
    from cxr.compare.report.pictures import pictures_of  # needs Matplotlib

    return pictures_of(comparison)


@pytest.fixture(scope="session")
def three_classes(judged, tmp_path_factory):
    """A comparison of two models (made-up scores) that tell three classes apart, VIRAL being the positive one."""
    from cxr.compare.comparison import compare

    folder = tmp_path_factory.mktemp("three")
    view = judged.make_three_class_view(folder)
    bundles = [
        judged.scores_bundle(folder / name, view, name=name, skill=skill, seed=number)
        for number, (name, skill) in enumerate({"careful net": 2.4, "hasty net": 1.2}.items())
    ]
    return compare(
        bundles,
        view,
        output=folder / "out",
        cache_dir=folder / "cache",
        on_progress=judged.quiet,
        command="cxr compare a b",
    )
