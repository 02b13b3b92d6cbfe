"""The page of measurements is what its records say, every benchmark is on it, and one that fails stops no other."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[1]
BENCHMARKS, DOCS = ROOT / "benchmarks", ROOT / "docs"
#: What is measured elsewhere than on the page: a factor or a rate.
QUOTED = re.compile(r"×\d|\d times (?:as fast|as quick|as long|faster|ours|the speed)|\d (?:images|files|objects)/s")


@pytest.fixture(scope="module")
def harness() -> Iterator[ModuleType]:
    """The package `harness`, as benchmarks/ imports it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        import harness
        import harness.page
        import harness.runner
        import scale_page.page

        harness.scale_page = scale_page.page
        yield harness


def test_the_page_is_what_its_records_render_to(harness: Any) -> None:
    records = harness.page.read_records(DOCS / "benchmarks.json")
    assert records
    assert (DOCS / "benchmarks.md").read_text(encoding="utf-8") == harness.page.render_page(records)
    assert not any(record.quick for record in records.values())


def test_the_page_of_scale_computes_with_the_same_records(harness: Any) -> None:
    records = harness.page.read_records(DOCS / "benchmarks.json")
    text = (DOCS / "scale.md").read_text(encoding="utf-8")
    assert text == harness.scale_page.rendered(text, records)


def test_every_script_is_a_benchmark_of_the_suite(harness: Any) -> None:
    scripts = {path.stem for path in BENCHMARKS.glob("*.py")} - {"__main__"}
    assert scripts == {benchmark.script for benchmark in harness.suite.SUITE}


def test_results_outlive_their_json(harness: Any) -> None:
    result = harness.result.Result(
        "a", "time", 2.0, "s", peer="p", peer_value=5.0, goal=harness.result.least_ratio(3.0), spread=(1.0, 3.0)
    )
    assert (result.ratio, result.met) == (2.5, False)
    assert harness.result.Result.from_json(json.loads(json.dumps(result.as_json()))) == result


@pytest.mark.parametrize(
    ("better", "value", "theirs", "ratio"),
    [("less", 2.0, 6.0, 3.0), ("more", 2.0, 6.0, 1 / 3), ("neither", 2.0, 6.0, None), ("less", 0.0, 6.0, None)],
)
def test_a_ratio_says_how_many_times_better_ours_is(
    harness: Any, better: str, value: float, theirs: float, ratio: float | None
) -> None:
    kind = harness.result.Better(better)
    assert harness.result.Result("a", "b", value, "s", kind, "p", theirs).ratio == ratio


@pytest.mark.parametrize(("value", "met"), [(10.0, True), (10.1, False)])
def test_a_goal_of_a_value_is_its_worst(harness: Any, value: float, met: bool) -> None:
    goal = harness.result.bound_of_value(10.0)
    assert harness.result.Result("a", "b", value, "s", goal=goal).met is met
    assert harness.result.Result("a", "b", -value, "s", harness.result.Better.MORE, goal=goal).met is False


GOOD = """
from harness.result import Result
from harness.script import run_script
def measure(script):
    script.add(Result("x | y", "time", 1.5, "s", peer="p", peer_value=3.0))
    {more}
if __name__ == "__main__":
    run_script(measure, file=__file__, description="A benchmark.")
"""


@pytest.fixture
def site(harness: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A folder of small scripts that find the harness."""
    monkeypatch.setenv("PYTHONPATH", f"{BENCHMARKS}:{ROOT / 'src'}")
    return harness.runner.Place(tmp_path, tmp_path / "kept")


def _suite(harness: Any, site: Any, **scripts: str) -> list[Any]:
    for name, text in scripts.items():
        (site.scripts / f"{name}.py").write_text(text)
    return [harness.suite.Benchmark(name, name.title(), "About.", 500.0) for name in scripts]


def test_a_benchmark_that_fails_keeps_its_results_and_stops_no_other(harness: Any, site: Any) -> None:
    suite = _suite(
        harness,
        site,
        broken=GOOD.format(more="raise ValueError('no')"),
        dead="import os; os._exit(3)",
        good=GOOD.format(more="script.say_absent('q', 'not installed')"),
    )
    said: list[str] = []
    broken, dead, good = harness.runner.run_benchmarks(suite, site, say=said.append)
    assert (len(broken.results), broken.failure) == (1, "exit code 1")
    assert (dead.results, dead.failure) == ((), "exit code 3")
    assert (good.failure, good.absent, good.results[0].ratio) == ("", {"q": "not installed"}, 2.0)
    assert "ValueError: no" in (site.kept / "broken.log").read_text()
    page = harness.page.render_page({record.script: record for record in (broken, dead, good)}, suite)
    assert "**The run failed**: exit code 3" in page
    assert "| x \\| y | time | 1.50 s | p: 3 s | ×2 |" in page
    assert "- Not measured: q: not installed." in page


def test_a_benchmark_that_takes_too_long_is_ended_and_stops_no_other(harness: Any, site: Any) -> None:
    slow, good = _suite(harness, site, slow="import threading; threading.Event().wait()", good=GOOD.format(more=""))
    records = harness.runner.run_benchmarks([replace(slow, timeout_s=0.5), good], site, say=lambda text: None)
    assert [record.failure for record in records] == ["it took longer than 0.5 s", ""]


def test_a_script_that_is_stopped_leaves_what_it_has(harness: Any, site: Any) -> None:
    _suite(harness, site, slow=GOOD.format(more="import threading; threading.Event().wait()"))
    command = [sys.executable, str(site.scripts / "slow.py"), "--json", str(site.kept / "slow.json")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while not process.stdout.readline().startswith("x | y"):
            assert process.poll() is None
        process.terminate()
        assert process.wait(500) == 1
    record = harness.record.read_record(site.kept / "slow.json")
    assert (record.failure, [result.value for result in record.results]) == ("stopped", [1.5])


def test_a_run_that_was_interrupted_goes_on_with_what_is_missing(harness: Any, site: Any) -> None:
    suite = _suite(harness, site, one=GOOD.format(more=""), two=GOOD.format(more="raise ValueError"))
    first, _ = harness.runner.run_benchmarks(suite, site, say=lambda text: None)
    _suite(harness, site, two=GOOD.format(more=""))
    again, mended = harness.runner.run_benchmarks(suite, site, resume=True, say=lambda text: None)
    assert again == first
    assert (mended.failure, len(mended.results)) == ("", 1)


#: `python benchmarks`, hearing Ctrl-C also where the tests run in the background.
HEARING = f"""
import runpy, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
runpy.run_path({str(BENCHMARKS)!r}, run_name="__main__")
"""


def test_ctrl_c_says_how_to_go_on_and_leaves_no_process() -> None:
    mark = uuid.uuid4().hex
    command = [sys.executable, "-c", HEARING, "--quick", "--only", "interval_coverage"]
    environment = os.environ | {"CXR_TEST_OF_CTRL_C": mark}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("interval_coverage")
        process.send_signal(signal.SIGINT)  # in the moment in which the benchmark's process is started
        _, words = process.communicate(timeout=500)
    assert process.returncode == 1
    assert words.splitlines() == ["interrupted: what has ended is kept, and the same with --resume goes on"]
    assert [one for one in psutil.process_iter() if _has(one, mark)] == []


def _has(process: psutil.Process, mark: str) -> bool:
    try:
        return process.environ().get("CXR_TEST_OF_CTRL_C") == mark
    except psutil.Error:
        return False


def test_the_command_line_refuses_a_benchmark_that_is_none() -> None:
    command = [sys.executable, str(BENCHMARKS), "--only", "nothing"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 2
    assert "invalid choice: 'nothing'" in done.stderr


def _pages() -> list[Path]:
    return [page for page in sorted(DOCS.glob("*.md")) if page.name not in {"benchmarks.md", "scale.md"}]


@pytest.mark.parametrize("page", _pages(), ids=lambda page: page.stem)
def test_a_measured_factor_or_rate_stands_beside_the_command_that_measures_it(page: Path) -> None:
    """Copied figures grow old: the page of measurements is linked instead."""
    for paragraph in page.read_text(encoding="utf-8").split("\n\n"):
        if QUOTED.search(paragraph):
            assert re.search(r"`(?:python|cxr|make) [^`]+`", paragraph), paragraph


@pytest.mark.parametrize("page", [*_pages(), ROOT / "README.md"], ids=lambda page: page.stem)
def test_benchmarks_that_pages_name_are_there(page: Path) -> None:
    for name in re.findall(r"benchmarks/((?:long/)?\w+\.py)", page.read_text(encoding="utf-8")):
        assert (BENCHMARKS / name).is_file(), name
