"""The report in a real browser: it opens without an error, without network, without JavaScript."""

from __future__ import annotations

import numpy as np
import pytest
from browser import browsing, needs_browser
from matplotlib.image import imread

pytestmark = needs_browser
FIGURES = ("gains", "surface", "score-by-count", "pareto", "rungs", "effects", "spending")
SECTIONS = ("answer", "numbers", "contenders", "cells", "recipe", "not-tried", "threats", "trials")
ROWS = "[...document.querySelectorAll('#cells tbody tr')]"
SHOWN = f"{ROWS}.filter(row => row.offsetHeight > 0).map(row => row.dataset.language)"

N_ARMS = 4
OUTSIDE = """[...document.querySelectorAll('figure svg text')].filter(text => {
  const whole = text.closest('svg').getBoundingClientRect(), own = text.getBoundingClientRect();
  return own.left < whole.left - 1 || own.right > whole.right + 1
    || own.top < whole.top - 1 || own.bottom > whole.bottom + 1;
}).map(text => `${text.closest('figure').id}: ${text.textContent}`)"""
TOO_WIDE = """[...document.querySelectorAll('table, pre, figure, p, ul')].filter(
  part => part.offsetHeight && part.getBoundingClientRect().right > document.body.clientWidth + 1
).map(part => part.id || part.textContent.slice(0, 40))"""
A4_PX = 688  # what 210 mm less two margins of 14 mm are at 96 pixels an inch


@pytest.fixture(scope="module")
def browser():
    with browsing() as page:
        yield page


@pytest.fixture
def page(browser):
    """A page that has logged nothing, shown on a screen, with JavaScript."""
    browser.console.clear()
    browser.do("Emulation.setScriptExecutionDisabled", value=False)
    browser.do("Emulation.setEmulatedMedia", media="screen")
    return browser


def test_an_error_on_a_page_would_be_noticed(page, tmp_path):
    wrong = tmp_path / "wrong.html"
    wrong.write_text("<script>console.error('as expected'); nothing()</script><img src='missing.png'>")
    page.open(wrong.as_uri())
    assert any("as expected" in line for line in page.console)
    assert any("nothing is not defined" in line for line in page.console)
    assert any("ERR_FILE_NOT_FOUND" in line for line in page.console)


def picture(page, file, address, *, name=""):
    """Pixels of the page in a window of 700 by 6,000, shape (6000, 700, 3), 0 to 1."""
    page.open(address, width=700, height=6000)
    page.picture(file, name=name)
    return imread(file)[..., :3]


def test_a_script_runs_only_where_it_is_allowed(page, tmp_path):
    red = tmp_path / "red.html"
    red.write_text("<body><script>document.body.style.background = 'red'</script></body>")
    assert picture(page, tmp_path / "with.png", red.as_uri())[9, 9].tolist() == [1.0, 0.0, 0.0]
    page.do("Emulation.setScriptExecutionDisabled", value=True)
    assert picture(page, tmp_path / "without.png", red.as_uri())[9, 9].tolist() == [1.0, 1.0, 1.0]


def test_the_report_opens_with_all_its_figures_and_no_error(page, whole_report):
    page.open(whole_report.as_uri())
    assert page.console == []
    assert page.ask("document.querySelectorAll('svg').length") == len(FIGURES)
    for name in (*(f"figure-{name}" for name in FIGURES), *SECTIONS):
        assert page.ask(f"document.getElementById('{name}').getBoundingClientRect().height") > 0, name


def test_the_figures_are_drawn_in_colour_fit_a_narrow_window_and_need_no_javascript(
    page, whole_report, tmp_path
):
    pixels = picture(page, tmp_path / "with.png", whole_report.as_uri(), name="report")
    blue = np.abs(pixels - np.array([0x00, 0x72, 0xB2]) / 255).max(axis=-1) < 0.02
    bands = np.add.reduceat(blue.sum(axis=1), range(0, len(blue), 500))
    assert (bands > 100).sum() >= 5
    assert pixels[:, -3:].min() == 1.0
    page.do("Emulation.setScriptExecutionDisabled", value=True)
    assert np.array_equal(pixels, picture(page, tmp_path / "without.png", whole_report.as_uri()))


def test_a_language_can_be_chosen_and_print_has_them_all(page, whole_report):
    page.open(whole_report.as_uri())
    every = page.ask(SHOWN)
    assert len(every) == 8
    choose = "document.getElementById('language').value = "
    page.ask(f"{choose}'sw'")
    assert page.ask(SHOWN) == ["sw"]
    page.do("Emulation.setEmulatedMedia", media="print")
    assert page.ask(SHOWN) == every
    assert page.ask("document.querySelector('.filter').offsetHeight") == 0
    page.do("Emulation.setEmulatedMedia", media="screen")
    page.ask(f"{choose}'low-resource'")
    poor = page.ask(SHOWN)
    assert "sw" in poor
    assert "de" not in poor


def test_a_point_says_which_trial_it_is_when_the_mouse_rests_on_it(page, whole_report):
    page.open(whole_report.as_uri())
    point = "document.querySelector('#figure-pareto .point')"
    page.ask(f"{point}.scrollIntoView({{block: 'center'}})")
    place = page.ask(f"(r => [r.x + r.width / 2, r.y + r.height / 2])({point}.getBoundingClientRect())")
    page.do("Input.dispatchMouseEvent", type="mouseMoved", x=place[0], y=place[1])
    page.wait("document.querySelectorAll('#figure-pareto .point:hover').length === 1")
    said = page.ask("document.querySelector('#figure-pareto .point:hover title').textContent")
    assert said.startswith("t0")
    assert "points" in said
    assert said.endswith("GPU-hours")


def test_the_page_of_several_arms_opens_with_a_part_for_each_and_no_error(page, armed_report, tmp_path):
    page.open(armed_report.as_uri(), height=8000)
    assert page.console == []
    in_an_arm = [name for name in FIGURES if name != "spending"]
    heights = page.ask(
        "Object.fromEntries([...document.querySelectorAll('figure')].map(f => [f.id, f.offsetHeight]))"
    )
    for name in in_an_arm:
        drawn = [one for one in heights if one.startswith(f"figure-{name}")]
        assert len(drawn) == N_ARMS, (name, drawn)
    assert len(heights) == 3 + N_ARMS * len(in_an_arm)
    assert min(heights.values()) > 50
    assert page.ask(OUTSIDE) == []
    page.picture(tmp_path / "arms.png", name="report-arms")


def test_a_language_that_is_chosen_is_chosen_in_every_arm(page, armed_report):
    rows = "[...document.querySelectorAll('tr[data-language]')].filter(row => row.offsetHeight > 0)"
    page.open(armed_report.as_uri())
    n_rows = page.ask(f"{rows}.length")
    page.ask("document.getElementById('language').value = 'sw'")
    assert page.ask(f"{rows}.map(row => row.dataset.language)") == ["sw"] * N_ARMS
    page.do("Emulation.setEmulatedMedia", media="print")
    assert page.ask(f"{rows}.length") == n_rows > N_ARMS


def test_several_arms_fit_on_paper(page, armed_report, tmp_path):
    page.do("Emulation.setEmulatedMedia", media="print")
    page.open(armed_report.as_uri(), width=A4_PX, height=8000)
    page.picture(tmp_path / "print.png", name="report-arms-print")
    assert page.ask(TOO_WIDE) == []
    assert page.ask("document.documentElement.scrollWidth") <= A4_PX
