"""The report in a real browser: it opens without an error, without network, without JavaScript."""

from __future__ import annotations

import json

import numpy as np
from browser import chromium, keep, needs_browser
from matplotlib.image import imread

pytestmark = needs_browser
FIGURES = ("gains", "surface", "score-by-count", "pareto", "rungs", "effects", "spending")
SECTIONS = ("answer", "numbers", "contenders", "cells", "recipe", "not-tried", "threats", "trials")


def test_an_error_on_a_page_would_be_noticed(tmp_path):
    page = tmp_path / "wrong.html"
    page.write_text("<script>console.error('as expected')</script><img src='missing.png'>")
    _, console = chromium(tmp_path / "profile", page.as_uri(), "--dump-dom")
    assert any("as expected" in line for line in console)


def picture(profile, page, *options):
    """Pixels of the page in a window of 700 by 6,000, shape (6000, 700, 3), 0 to 1."""
    shot = profile.with_suffix(".png")
    options = (*options, f"--screenshot={shot}", "--window-size=700,6000", "--hide-scrollbars")
    options = (*options, "--run-all-compositor-stages-before-draw")  # a busy machine draws late
    _, console = chromium(profile, page.as_uri(), *options)
    assert console == []
    return imread(shot)[..., :3]


def without_javascript(profile):
    """A browser profile that runs no script."""
    settings = {"profile": {"default_content_setting_values": {"javascript": 2}}}
    (profile / "Default").mkdir(parents=True)
    (profile / "Default" / "Preferences").write_text(json.dumps(settings))
    return profile


def test_a_script_runs_only_where_it_is_allowed(tmp_path):
    page = tmp_path / "red.html"
    page.write_text("<body><script>document.body.style.background = 'red'</script></body>")
    assert picture(tmp_path / "with", page)[9, 9].tolist() == [1.0, 0.0, 0.0]
    assert picture(without_javascript(tmp_path / "without"), page)[9, 9].tolist() == [1.0, 1.0, 1.0]


def test_the_report_opens_with_all_its_figures_and_no_error(whole_report, tmp_path):
    dom, console = chromium(tmp_path / "profile", whole_report.as_uri(), "--dump-dom")
    assert console == []
    assert dom.count("<svg") == len(FIGURES)
    for name in FIGURES:
        assert f'id="figure-{name}"' in dom
    for section in SECTIONS:
        assert f'id="{section}"' in dom


def test_the_figures_are_drawn_in_colour_fit_a_narrow_window_and_need_no_javascript(
    whole_report, tmp_path
):
    pixels = picture(tmp_path / "with", whole_report)
    blue = np.abs(pixels - np.array([0x00, 0x72, 0xB2]) / 255).max(axis=-1) < 0.02
    bands = np.add.reduceat(blue.sum(axis=1), range(0, len(blue), 500))
    assert (bands > 100).sum() >= 5
    assert pixels[:, -3:].min() == 1.0
    keep(tmp_path / "with.png", "report")
    assert np.array_equal(pixels, picture(without_javascript(tmp_path / "without"), whole_report))
