"""How files come to the page, in a real Chromium: dropped, pasted, picked, by the keyboard; stopped and cleared."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from page_reader import Reader, film, save_dicom
from PIL import Image

FOCUSED = "() => document.activeElement.id || document.activeElement.getAttribute('aria-label') || ''"


def test_files_are_dropped_and_pasted(reader: Reader, films: list[Path]) -> None:
    for event, holder in (("drop", "dataTransfer"), ("paste", "clipboardData")):
        code = """async ([name, bytes, event, holder]) => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(bytes)], name, { type: "image/jpeg" }));
            const made = event === "drop"
                ? new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true })
                : new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true });
            document.body.dispatchEvent(made);
        }"""
        name = f"{event}.jpeg"
        reader.page.evaluate(code, [name, list(films[2].read_bytes()), event, holder])
        reader.page.locator("#status", has_text=name).wait_for()
        reader.page.locator("#status", has_text="threshold").wait_for()


def test_a_dropped_folder_is_read_with_all_that_is_in_it(reader: Reader, films: list[Path], tmp_path: Path) -> None:
    folder = tmp_path / "patients"
    for place, path in zip(("2/b.jpeg", "10/c.jpeg", "a.jpeg"), films, strict=False):
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / place)
    devtools = reader.page.context.new_cdp_session(reader.page)
    for event in ("dragEnter", "dragOver", "drop"):
        data = {"items": [], "files": [str(folder), str(films[3])], "dragOperationsMask": 1}
        devtools.send("Input.dispatchDragEvent", {"type": event, "x": 200, "y": 200, "data": data})
    reader.page.locator("#status", has_text="4 images scored.").wait_for()
    assert [row["file"] for row in reader.csv()] == ["b.jpeg", "c.jpeg", "a.jpeg", films[3].name]


#: In the page, which reads nothing meanwhile: at three rows stop, and drop a file where one is given.
STOP_AT_THREE = """(bytes) => {
    const rows = document.getElementById("table-body");
    const watch = new MutationObserver(() => {
        if (rows.children.length < 3) return;
        watch.disconnect();
        document.getElementById("stop").click();
        if (bytes === null) return;
        const data = new DataTransfer();
        data.items.add(new File([new Uint8Array(bytes)], "late.jpeg", { type: "image/jpeg" }));
        document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
    });
    watch.observe(rows, { childList: true });
}"""


def test_stop_leaves_what_waits_unread_and_reads_what_is_given_after_it(reader: Reader, films: list[Path]) -> None:
    page = reader.page
    page.evaluate(STOP_AT_THREE, None)
    page.set_input_files("#files", [str(path) for path in films * 15])
    page.locator("#status", has_text="Stopped after").wait_for()
    done, asked = map(int, re.findall(r"\d+", page.inner_text("#status")))
    assert (asked, page.locator("#table-body tr").count()) == (60, done)
    assert 3 <= done < 60
    page.click("#clear")
    # Given while the image that was being read at the stop is still on its way.
    page.evaluate(STOP_AT_THREE, list(films[2].read_bytes()))
    page.set_input_files("#files", [str(path) for path in films * 15])
    page.get_by_role("button", name="Show late.jpeg").wait_for()
    # Where the stopped files had ended before, the late one is summed up by itself, in other words.
    page.wait_for_function("() => !/^(Stopped|Reading)/.test(document.getElementById('status').textContent)")
    assert page.locator("#table-body tr").count() < 60


def test_any_file_can_be_chosen_and_telephones_offer_the_camera(reader: Reader, tmp_path: Path) -> None:
    # DICOM files of an archive have no ending: a list of kinds would grey them out.
    assert reader.page.get_attribute("#files", "accept") is None
    assert reader.page.get_attribute("#camera", "accept") == "image/*"
    assert reader.page.get_attribute("#camera", "capture") == "environment"
    save_dicom(film(1), tmp_path / "IM000001")
    Image.fromarray(film(1)).save(tmp_path / "film.gif")
    Image.fromarray(film(1)).save(tmp_path / "film.bmp")
    assert reader.give(*(tmp_path / name for name in ("IM000001", "film.gif", "film.bmp"))) == "3 images scored."


def test_the_keyboard_is_enough(reader: Reader, films: list[Path]) -> None:
    page = reader.page
    reader.give(*films)
    seen = []
    for _ in range(40):
        page.keyboard.press("Tab")
        seen.append(page.evaluate(FOCUSED))
        if seen[-1] == f"Show {films[3].name}":
            break
    assert {"open-about", "choose", "photograph", "heat-class", "heat-opacity", "download", "clear"} <= set(seen)
    page.keyboard.press("Enter")
    page.locator("#film-caption", has_text=films[3].name).wait_for()
    page.focus("#open-about")
    page.keyboard.press("Enter")
    assert page.locator("#about").is_visible()
    assert "0.9700 (95 % interval 0.9500 to 0.9900)" in page.inner_text("#about")
    page.keyboard.press("Escape")
    page.locator("#about").wait_for(state="hidden")


def test_a_clear_while_images_are_read_clears_them_too(reader: Reader, films: list[Path]) -> None:
    page = reader.page
    page.set_input_files("#files", [str(path) for path in films * 10])
    page.locator("#table-body tr").nth(2).wait_for()
    page.evaluate("() => document.getElementById('clear').click()")
    page.wait_for_timeout(500)
    assert page.locator("#table-body tr").count() == 0
    assert page.inner_text("#status") == "Ready: small."
    assert not page.locator("#reading").is_visible()
    assert reader.give(films[1]).startswith(films[1].name)
    assert page.locator("#table-body tr").count() == 1
