"""The pictures of README and docs/, from a demo that really runs: `make pictures` (minutes).

    python tools/docs/pictures.py [--demo FOLDER]

runs `cxr demo` in FOLDER (build/demo) unless a finished one with its transcript is there, and writes docs/img:
`demo.svg`, what the terminal said; `report.png` and `page.png`, by Chromium.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "docs" / "img"
TRANSCRIPT = "transcript.txt"

#: Columns of the terminal in the picture, and of one cell of a table in it.
WIDTH, CELL = 126, 26
#: Lines that a progress bar takes away again on a terminal.
_PROGRESS = re.compile(r"^[a-z ]+: [\d,]+ of [\d,]+\b")
_STEP = re.compile(r"^\[(?P<number>\d+)/\d+\] (?P<title>.*?)  \(\d+:\d\d\)$")
_RULE = re.compile(r"-+(  -+)+$")
#: What is shown of each step; all else is left out, and an ellipsis says so.
SHOWN = {
    1: r"(split|train|validation|test)",
    2: r"  ",
    3: r"(bucket|new|to send)",
    4: r"(budget|makes |cost|leaves|note)",
    5: r"(recipe|machine|trainer|cost)",
    6: r"  ",
    7: r"(automl-|  )",
    8: r"(custom-|  )",
    9: r"(model  |automl-|gpu-|baseline-|majority|byte|32x32|\d+ test images|Research)",
    10: r"  ",
}
BRIGHT = TerminalTheme(
    (21, 26, 33),
    (214, 221, 230),
    [(21, 26, 33), (240, 113, 120), (126, 200, 140), (235, 190, 110), (110, 170, 250), (190, 150, 240), (90, 200, 205),
     (214, 221, 230)],
    [(120, 132, 148), (240, 113, 120), (126, 200, 140), (235, 190, 110), (110, 170, 250), (190, 150, 240),
     (90, 200, 205), (255, 255, 255)],
)  # fmt: skip


def run_demo(folder: Path) -> str:
    """What the demo in `folder` said: of the run that is there, or of one that is made now."""
    transcript = folder / TRANSCRIPT
    if not transcript.is_file():
        folder.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "cxr", "demo", "--out", folder.name]
        said = subprocess.run(
            command, cwd=folder.parent, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True
        )
        transcript.write_text(said.stdout, encoding="utf-8")
    return transcript.read_text(encoding="utf-8")


def terminal_lines(transcript: str) -> Iterator[str]:
    """The lines of the picture: every step's heading, and of each what SHOWN names."""
    step, left_out, shown = 0, False, False
    for line in _squeezed([line for line in transcript.splitlines() if not _PROGRESS.match(line)]):
        found = _STEP.match(line)
        if found or line.startswith("done in"):
            if left_out and step:
                yield "  …"
            step, left_out = int(found["number"]) if found else 0, False
            if found:
                yield f"\n[{step}/10] {found['title']}"
        elif _RULE.fullmatch(line):
            if shown:  # the head of this table
                yield line
        elif line:
            shown = re.match(SHOWN.get(step, "$^"), line) is not None
            left_out |= not shown
            if shown:
                yield f"\n{line}" if re.match("model +difference", line) else line


def _squeezed(lines: list[str]) -> Iterator[str]:
    """Tables with cells of at most CELL characters and as many columns as WIDTH has room for."""
    at = 0
    while at < len(lines):
        if at + 1 < len(lines) and _RULE.fullmatch(lines[at + 1]):
            spans = [found.span() for found in re.finditer("-+", lines[at + 1])]
            last = at + 2
            while last < len(lines) and _is_row(lines[last], spans):
                last += 1
            yield from _table([[line[start:end] for start, end in spans] for line in lines[at:last]])
            at = last
        else:
            yield lines[at] if len(lines[at]) <= WIDTH else lines[at][: WIDTH - 1] + "…"
            at += 1


def _is_row(line: str, spans: list[tuple[int, int]]) -> bool:
    """Whether nothing stands in the gaps between the columns."""
    return bool(line) and not any(line[end : end + 2].strip() for _, end in spans[:-1])


def _table(rows: list[list[str]]) -> Iterator[str]:
    rows = [[cell.strip() for cell in row] for row in rows]
    longest = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    # A plan has two columns: its second one may be as wide as there is room.
    room = [longest[0], WIDTH - longest[0] - 2] if len(longest) == 2 else [CELL] * len(longest)
    widths = [min(pair) for pair in zip(longest, room, strict=True)]
    while sum(widths) + 2 * (len(widths) - 1) > WIDTH:
        widths.pop()
    for row in rows:
        cells = [_cut(cell, width) for cell, width in zip(row, widths, strict=False)]
        yield "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def _cut(cell: str, width: int) -> str:
    if len(cell) <= width or set(cell) == {"-"}:
        return cell[:width]
    return cell[: width - 1] + "…"


def terminal_picture(transcript: str, target: Path) -> None:
    """Write the SVG. It names a font and brings none: nothing is loaded from another host."""
    console = Console(record=True, width=WIDTH, file=StringIO(), force_terminal=True, color_system="truecolor")
    console.print(Text("$ make demo", style="bold green"))
    for line in terminal_lines(transcript):
        console.print(_styled(line), no_wrap=True, overflow="ellipsis")
    svg = console.export_svg(title="cxr demo", theme=BRIGHT)
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    svg = svg.replace("font-family: Fira Code, monospace", "font-family: ui-monospace, Menlo, Consolas, monospace")
    target.write_text(svg, encoding="utf-8")


def _styled(line: str) -> Text:
    text = Text(line)
    if line.startswith("\n["):  # a step's heading
        text.stylize("bold cyan")
    elif _RULE.fullmatch(line) or line.strip() == "…":
        text.stylize("bright_black")
    text.highlight_regex(r"(nothing here|on Google at most [\d.]+ USD|SUCCEEDED|within the margin)", "yellow")
    text.highlight_regex(r"^(automl|gpu|baseline)-\S+", "bold")
    return text


@contextmanager
def _browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    from cxr.compare.parity.chromium import FLAGS
    from cxr.webapp.browser import find_chromium

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=find_chromium(), headless=True, args=list(FLAGS))
        yield started
        started.close()


def report_picture(browser: Any, report: Path, target: Path) -> None:
    """The first screen of the report and its table."""
    page = browser.new_page(viewport={"width": 1180, "height": 1500}, color_scheme="light")
    page.goto(report.resolve().as_uri())
    page.screenshot(path=target)
    page.close()


def page_picture(browser: Any, folder: Path, films: list[Path], target: Path) -> None:
    """A page with some test images read."""
    from cxr.webapp.serve import serving

    with serving(folder) as server:
        page = browser.new_page(viewport={"width": 1180, "height": 1000}, color_scheme="light")
        page.goto(server.url)
        page.locator("html[data-state=ready]").wait_for(state="attached")
        page.set_input_files("#files", [str(film) for film in films])
        page.locator("#status", has_text=f"{len(films)} images scored").wait_for()
        page.screenshot(path=target, full_page=True)
        page.close()


def page_with_maps(demo: Path) -> Path:
    """A page of the same data whose net can say where it looks: the demo's own baseline cannot."""
    page = demo / "page-edge"
    if not (page / "index.html").is_file():
        data = ["--manifest", "manifest.csv"]
        for words in (
            ["baseline", "train", "--recipe", "edge", *data],
            ["web", "build", "runs/edge", "page-edge", *data],
        ):
            subprocess.run([sys.executable, "-m", "cxr", *words], cwd=demo, check=True)
    return page


def films(demo: Path) -> list[Path]:
    """Two test images of each label, the synthetic ones that the demo drew."""
    drawn = next(demo.glob("synthetic-*/chest_xray/test"))
    return [path for label in ("PNEUMONIA", "NORMAL") for path in sorted((drawn / label).iterdir())[:2]]


def main() -> None:
    """Make all pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--demo", type=Path, default=ROOT / "build" / "demo", help="folder of a demo [build/demo]")
    demo = parser.parse_args().demo
    IMAGES.mkdir(exist_ok=True)
    terminal_picture(run_demo(demo), IMAGES / "demo.svg")
    page = page_with_maps(demo)
    with _browser() as browser:
        report_picture(browser, demo / "compare" / "report.html", IMAGES / "report.png")
        page_picture(browser, page, films(demo), IMAGES / "page.png")
    for path in sorted(IMAGES.iterdir()):
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
