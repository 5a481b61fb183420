"""The HTML report in a real browser: no errors, sorting, pointing, zooming, both themes, legible, hostile names.

Needs Debian's `chromium` and `chromium-driver` (apt-get install chromium chromium-driver) and the package
selenium; skipped with the reason where one of them is missing.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import REPOSITORY
from example_results import ALL

from skadvisor.report.build import describe_result
from skadvisor.report.html import render_html

pytestmark = pytest.mark.slow

webdriver = pytest.importorskip("selenium.webdriver", reason="the package selenium is not installed")
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
if not BROWSER or not DRIVER:
    pytest.skip("no browser here: apt-get install chromium chromium-driver", allow_module_level=True)

SIZES = {"wide": (1440, 900), "desktop": (1280, 900), "tablet": (1024, 800), "phone": (390, 844)}


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service

    options = Options()
    options.binary_location = BROWSER
    for flag in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        f"--user-data-dir={tmp_path_factory.mktemp('browser')}",
    ):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(executable_path=DRIVER))
    yield driver
    driver.quit()


def show(
    browser: Any, folder: Path, name: str, *, language: str = "en", size: str = "desktop", dark: bool = False
) -> None:
    """Open the report of an example in a window of a device's size and with the system's theme."""
    open_result(browser, folder, ALL[name](), language=language, size=size, dark=dark)


def open_result(
    browser: Any, folder: Path, result: Any, *, language: str = "en", size: str = "desktop", dark: bool = False
) -> None:
    path = folder / "report.html"
    path.write_text(render_html(describe_result(result, language)), encoding="utf-8")
    open_page(browser, path, size, dark)


def open_page(browser: Any, path: Path, size: str, dark: bool) -> None:
    width, height = SIZES[size]
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == "phone"}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    theme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    still = {"name": "prefers-reduced-motion", "value": "reduce"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [theme, still]})
    browser.get(path.as_uri())


#: Words of cells that stand on more than one line. Paths and shapes may break at their joints, giants anywhere.
BROKEN = """
document.querySelectorAll("details").forEach((one) => { one.open = true; });
const bad = [];
document.querySelectorAll("td, th").forEach((cell) => {
  const seen = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
  while (seen.nextNode()) {
    const text = seen.currentNode;
    for (const word of text.data.matchAll(/[!-~\\u2212]+/g)) {
      if (word[0].length > 60) continue;
      for (const part of word[0].matchAll(/[^\\/;]+[\\/;]*/g)) {
        const range = document.createRange();
        range.setStart(text, word.index + part.index);
        range.setEnd(text, word.index + part.index + part[0].length);
        const lines = new Set([...range.getClientRects()].filter((r) => r.width > 0).map((r) => Math.round(r.top)));
        if (lines.size > 1) bad.push(part[0]);
      }
    }
  }
});
return bad;
"""


def command_pages(folder: Path, language: str) -> dict[str, Path]:
    """The reports of the commands: three kinds of answers of analyze, and one of every other command."""
    from click.testing import CliRunner

    from skadvisor.cli import cli

    outputs = [folder / "off.txt", folder / "on.txt"]
    for path, said in zip(outputs, ("one", "another"), strict=True):
        path.write_text(f"Generation: {said}\n", encoding="utf-8")
    profiles = REPOSITORY / "profiles"
    commands = {
        "scope": ["analyze", profiles / "moe-decode"],
        "host-bound": ["analyze", profiles / "dense-eager-host-bound"],
        "ranks": ["analyze", profiles / "moe-two-ranks"],
        "compare": ["compare", profiles / "superkernel-off", profiles / "superkernel-on"],
        "verify": ["verify", "--outputs", *outputs],
        "screen": ["screen", profiles / "moe-decode"],
        "plan": ["plan", profiles / "moe-decode"],
        "doctor": ["doctor", profiles / "moe-decode"],
    }
    pages = {name: folder / f"{name}.{language}.html" for name in commands}
    for name, arguments in commands.items():
        CliRunner().invoke(cli, [*map(str, arguments), "--lang", language, "-o", str(pages[name])])
    return pages


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_reports_of_all_commands_are_whole_at_every_width_and_in_print(
    browser: Any, tmp_path: Path, language: str
) -> None:
    """No word broken in a cell, nothing to scroll sideways, no complaint, legible; nothing cut off in print."""
    for name, page in command_pages(tmp_path, language).items():
        for size in ("wide", "tablet", "phone"):
            for dark in (False, True):
                open_page(browser, page, size, dark)
                assert browser.execute_script(BROKEN) == [], (name, size)
                assert browser.execute_script("return document.documentElement.scrollWidth - innerWidth") <= 0, name
                assert not complaints(browser), name
        assert browser.execute_script(CONTRAST) == [], name
        printed_page(browser, page)
        assert browser.execute_script(BROKEN) == [], (name, "printed")
        assert browser.execute_script(OVER_THE_EDGE) == [], (name, "printed")


#: Width of A4 less the margins of the style sheet, px of 1/96 inch.
PAPER = 695
OVER_THE_EDGE = """
return [...document.querySelectorAll("td, th, p, li, h1, h2, pre")].filter((one) => one.getClientRects().length &&
  one.getBoundingClientRect().right > innerWidth + 1).map((one) => one.textContent.trim().slice(0, 40));
"""


def printed_page(browser: Any, page: Path) -> None:
    """Lay a page out as on paper."""
    metrics = {"width": PAPER, "height": 1000, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print", "features": []})
    browser.get(page.as_uri())


def test_arrow_keys_say_the_values_of_bars_and_strips(browser: Any, tmp_path: Path) -> None:
    from selenium.webdriver.common.keys import Keys

    show(browser, tmp_path, "moe")
    for picture in ("#regions svg.walk", "#layers svg.walk"):
        browser.execute_script("arguments[0].focus()", browser.find_element("css selector", picture))
        said = []
        for _press in range(2):
            browser.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
            said.append(browser.find_element("id", "tip").text)
        assert len(set(said)) == 2 and all("µs" in text for text in said)


def complaints(browser: Any) -> list[str]:
    return [entry["message"] for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("size", ["phone", "desktop"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_report_renders_without_complaint_and_fits_the_window(
    browser: Any, tmp_path: Path, name: str, size: str, dark: bool
) -> None:
    show(browser, tmp_path, name, size=size, dark=dark, language="zh" if dark else "en")
    assert not complaints(browser)
    wide = browser.execute_script("return document.documentElement.scrollWidth - window.innerWidth")
    assert wide <= 0
    ground = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(20, 22, 26)" if dark else "rgb(255, 255, 255)")


CONTRAST = """
const parse = (text) => { const n = text.match(/[\\d.]+/g).map(Number); return {rgb: n.slice(0, 3), a: n[3] ?? 1}; };
const light = (rgb) => rgb.map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
  .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
const ground = (node) => {
  for (; node; node = node.parentElement) {
    const colour = parse(getComputedStyle(node).backgroundColor);
    if (colour.a === 1) return colour.rgb;
  }
  return [255, 255, 255];
};
const under = (text) => {
  const rect = text.parentElement.querySelector(":scope > rect");
  return rect && text.classList.contains("letters") ? parse(getComputedStyle(rect).fill).rgb : ground(text);
};
document.querySelectorAll("details").forEach((one) => { one.open = true; });
const bad = [];
const seen = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (seen.nextNode()) {
  const node = seen.currentNode.parentElement;
  if (!seen.currentNode.data.trim() || node.closest("script, style, [hidden]")) continue;
  if (!node.getClientRects().length) continue;
  const inSvg = node instanceof SVGElement;
  const ink = light(parse(getComputedStyle(node)[inSvg ? "fill" : "color"]).rgb);
  const paper = light(inSvg ? under(node) : ground(node));
  const ratio = (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
  if (ratio < 4.5) bad.push([ratio.toFixed(2), node.outerHTML.slice(0, 80)]);
}
return bad;
"""


@pytest.mark.parametrize("name", ["moe", "eager", "toy"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_all_text_is_legible(browser: Any, tmp_path: Path, name: str, dark: bool) -> None:
    show(browser, tmp_path, name, dark=dark)
    assert browser.execute_script(CONTRAST) == []


def column(browser: Any, table: str, place: int) -> list[str]:
    script = "return [...document.querySelectorAll(`table[data-name=${arguments[0]}] tbody tr`)]"
    return browser.execute_script(script + ".map((row) => row.cells[arguments[1]].innerText)", table, place)


def test_tables_sort_by_number_both_ways(browser: Any, tmp_path: Path) -> None:
    show(browser, tmp_path, "moe")
    button = browser.find_element("css selector", "table[data-name=templates] th:nth-child(5) button")
    button.click()
    values = [float(text.replace("\u2212", "-")) for text in column(browser, "templates", 4)]
    assert values == sorted(values, reverse=True) and len(set(values)) > 1
    heading = browser.find_element("css selector", "table[data-name=templates] th:nth-child(5)")
    assert heading.get_attribute("aria-sort") == "descending"
    button.click()
    assert [float(text.replace("\u2212", "-")) for text in column(browser, "templates", 4)] == sorted(values)


def test_rows_without_a_value_sort_last(browser: Any, tmp_path: Path) -> None:
    show(browser, tmp_path, "moe")
    button = browser.find_element("css selector", "table[data-name=regions] th:nth-child(5) button")
    for _press in range(2):
        button.click()
        values = [text.strip() for text in column(browser, "regions", 4)]
        assert values[-3:] == ["", "", ""] and all(values[:-3])


def test_pointing_at_a_kernel_shows_its_figures(browser: Any, tmp_path: Path) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    show(browser, tmp_path, "moe")
    box = browser.find_element("css selector", "#layer figure:nth-of-type(2) .box:nth-of-type(n+8)")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", box)
    ActionChains(browser).move_to_element(box).perform()
    tip = browser.find_element("id", "tip")
    assert tip.is_displayed()
    assert tip.text.split() == box.get_attribute("data-tip").split()
    assert "µs" in tip.text
    inside = browser.execute_script(
        "const r = arguments[0].getBoundingClientRect();"
        "return r.left >= 0 && r.right <= innerWidth && r.top >= 0 && r.bottom <= innerHeight",
        tip,
    )
    assert inside


def test_arrow_keys_walk_the_kernels(browser: Any, tmp_path: Path) -> None:
    from selenium.webdriver.common.keys import Keys

    show(browser, tmp_path, "dense")
    lanes = browser.find_element("css selector", "#layer .scroll")
    lanes.send_keys(Keys.ARROW_RIGHT)
    first = browser.find_element("id", "tip").text
    lanes.send_keys(Keys.ARROW_RIGHT)
    assert first and browser.find_element("id", "tip").text != first


def test_zoom_widens_the_layer_and_fits_again(browser: Any, tmp_path: Path) -> None:
    show(browser, tmp_path, "moe")

    def width() -> float:
        return browser.execute_script("return document.querySelector('#layer .zoomed').getBoundingClientRect().width")

    usual = width()
    browser.find_element("css selector", "#layer [data-zoom=in]").click()
    assert width() == pytest.approx(2 * usual, rel=0.01)
    browser.find_element("css selector", "#layer [data-zoom=fit]").click()
    assert width() == pytest.approx(usual)


def test_letters_never_leave_their_box(browser: Any, tmp_path: Path) -> None:
    for name in ("moe", "toy", "hostile"):
        show(browser, tmp_path, name)
        script = """
        return [...document.querySelectorAll("svg.hot > .letters:not(.quiet):not(.band-text)")].filter((text) =>
          text.getComputedTextLength() + 4 > text.parentElement.querySelector("rect").getBoundingClientRect().width
        ).map((text) => text.textContent);
        """
        assert browser.execute_script(script) == []


def test_theme_button_turns_the_light_on_and_off(browser: Any, tmp_path: Path) -> None:
    show(browser, tmp_path, "dense", dark=True)
    colours = []
    for _press in range(2):
        browser.find_element("id", "theme").click()
        colours.append(browser.execute_script("return getComputedStyle(document.body).backgroundColor"))
    browser.execute_script("localStorage.clear()")
    assert colours == ["rgb(255, 255, 255)", "rgb(20, 22, 26)"]


def test_hostile_names_stay_text(browser: Any, tmp_path: Path) -> None:
    show(browser, tmp_path, "hostile")
    assert not complaints(browser)
    assert browser.title.startswith("SuperKernel advice")
    assert browser.execute_script("return document.querySelectorAll('img, iframe, main script').length") == 0
    assert "<script>document.title='owned'</script>" in browser.find_element("id", "breakers").text
    assert len(browser.find_elements("css selector", "script")) == 1


def test_nothing_is_fetched(browser: Any, tmp_path: Path) -> None:
    show(browser, tmp_path, "moe")
    fetched = browser.execute_script("return performance.getEntriesByType('resource').map((one) => one.name)")
    assert [one for one in fetched if not one.startswith("data:")] == []


def test_code_has_a_button_that_copies_it(browser: Any, tmp_path: Path) -> None:
    page = command_pages(tmp_path, "en")["plan"]
    open_page(browser, page, "desktop", dark=False)
    buttons = browser.find_elements("css selector", ".code .copy")
    assert buttons and {button.text for button in buttons} == {"Copy"}
    buttons[0].click()
    assert buttons[0].text == "Copied"
