"""The picture of the terminal shows every step of the demo, and brings nothing from another host."""

from __future__ import annotations

from pathlib import Path

import build_site
import pictures
from cxr.cli.out import plain_table

TRANSCRIPT = "\n".join(
    [
        "everything goes to demo",
        *(f"\n[{step}/10] step {step}  (0:0{step % 10})" for step in range(1, 4)),
        plain_table(("plan", "upload of 640 images"), [("bucket", "gs://b"), ("to send", "9.6 MB")]),
        "uploading: 1 of 640",
        "\n[4/10] AutoML  (0:05)",
        plain_table(("plan", "automl"), [("job", "automl-1"), ("cost", "nothing here; on Google at most 18.00 USD")]),
        "note: " + "a stand-in, " * 20,
        *(f"\n[{step}/10] step {step}  (1:0{step % 10})" for step in range(5, 10)),
        plain_table(("model", *("measure " * 9).split()), [("gpu-mobilenet-v2", *(["99.9 (99.1-99.9)"] * 9))]),
        "",
        plain_table(("measure", "gpu"), [("AUC", "0.9")]),
        "\n[10/10] the page  (2:00)",
        "  demo/page",
        "\ndone in 2:10. Everything is in demo",
    ]
)


def test_every_step_is_shown_and_what_is_left_out_is_said() -> None:
    lines = list(pictures.terminal_lines(TRANSCRIPT))
    assert [line.split("]")[0] for line in lines if line.startswith("\n[")] == [f"\n[{n}/10" for n in range(1, 11)]
    assert not any("(0:0" in line or "1 of 640" in line or "AUC" in line for line in lines)
    assert "to send  9.6 MB" in lines
    assert "  …" in lines
    assert all(len(line.strip("\n")) <= pictures.WIDTH for line in lines)


def test_the_picture_loads_nothing_from_another_host(tmp_path: Path) -> None:
    pictures.terminal_picture(TRANSCRIPT, tmp_path / "demo.svg")
    svg = (tmp_path / "demo.svg").read_text(encoding="utf-8")
    assert "gpu-mobilenet-v2" in svg
    assert "@font-face" not in svg
    assert list(build_site.foreign_assets(tmp_path)) == []


def test_the_committed_pictures_load_nothing_from_another_host() -> None:
    assert {path.name for path in pictures.IMAGES.iterdir()} >= {"demo.svg", "report.png", "page.png"}
    assert list(build_site.foreign_assets(pictures.IMAGES)) == []
