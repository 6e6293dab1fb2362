"""The page that `segue map` writes, in a real browser: `make test-browser`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.browser.browser import chromium, opened
from tests.support.cli import segue
from tests.unit.offline.visualization.test_song_map import HOSTILE, SONGS, bundle

__all__ = ["bundle", "chromium"]

DESKTOP, PHONE = {"width": 1280, "height": 860}, {"width": 390, "height": 844}
SHOTS = os.environ.get("SEGUE_TEST_SHOTS")


LINK_COLOURS = """() => {
  const colours = [], {lineTo, stroke} = pen;
  let line = false;
  pen.lineTo = (...place) => { line = true; lineTo.apply(pen, place); };
  pen.stroke = () => { if (line) colours.push(pen.strokeStyle); line = false; stroke.apply(pen); };
  draw();
  delete pen.lineTo;
  delete pen.stroke;
  return colours;
}"""


@pytest.fixture
def page_url(bundle: Path, tmp_path: Path) -> str:
    ran = segue("map", "--bundle", bundle, "--out", tmp_path / "map")
    assert ran.exit_code == 0, ran.output
    return (tmp_path / "map" / "map.html").as_uri()


def ink(page: Any) -> int:
    """Count the pixels that are drawn on the canvas."""
    counted: int = page.evaluate(
        """() => {
          const canvas = document.getElementById("map");
          const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          return data.filter((value, n) => n % 4 === 3 && value > 0).length;
        }"""
    )
    return counted


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_songs_are_drawn_found_and_shown_with_those_near_them(chromium, page_url, scheme, size):
    with opened(chromium, page_url, viewport=size, color_scheme=scheme) as page:
        page.wait_for_timeout(200)  # a frame, until it is drawn
        assert ink(page) > SONGS * 20
        assert page.evaluate("document.documentElement.dataset.theme") == scheme
        page.locator("#search").fill("song 17 ")
        expect(page.locator("#found li")).to_have_count(1)
        page.locator("#search").press("Enter")
        card = page.locator("#card")
        expect(card.locator("h2")).to_have_text("Song 17 $x^2$")
        expect(card.locator("li")).to_have_count(6)
        inside = page.evaluate(
            "() => { const box = document.getElementById('card').getBoundingClientRect();"
            " return box.left >= 0 && box.right <= innerWidth && box.bottom <= innerHeight; }"
        )
        assert inside, "the card lies outside the window"
        links = page.evaluate(LINK_COLOURS)
        assert links == [page.evaluate("tone('--focus')")] * 6
        near = card.locator("button").first.text_content()
        card.locator("button").first.click()
        assert near.startswith(card.locator("h2").text_content())
        assert page.evaluate("document.activeElement.closest('#card') !== null")
        if SHOTS:
            page.screenshot(path=f"{SHOTS}/map-{scheme}-{size['width']}.png")


def test_a_song_is_clicked_and_the_keyboard_does_as_much(chromium, page_url):
    with opened(chromium, page_url, viewport=DESKTOP) as page:
        x, y = page.evaluate("toScreen(60)")
        page.mouse.move(x, y)
        expect(page.locator("#tip")).to_contain_text("Song")
        page.mouse.click(x, y)
        expect(page.locator("#card h2")).to_contain_text("Song")
        page.locator("#map").focus()
        page.keyboard.press("Escape")
        expect(page.locator("#card")).to_be_hidden()
        zoom = "view.zoom"
        before = page.evaluate(zoom)
        page.keyboard.press("+")
        assert page.evaluate(zoom) > before
        page.keyboard.press("ArrowLeft")
        assert page.evaluate("view.x") < 0
        page.mouse.wheel(0, 400)
        page.keyboard.press("0")
        assert page.evaluate("[view.x, view.y, view.zoom]") == [0, 0, 1]
        page.locator("#legend button").first.click()
        expect(page.locator("#legend button").first).to_have_attribute("aria-pressed", "false")
        page.locator("#theme").click()
        expect(page.locator("html")).to_have_attribute("data-theme", "dark")


def test_a_hostile_title_is_shown_as_what_it_is(chromium, page_url):
    with opened(chromium, page_url, viewport=DESKTOP) as page:
        page.locator("#search").fill("alert(1)")
        page.locator("#search").press("Enter")
        expect(page.locator("#card h2")).to_have_text(HOSTILE)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_stands_in_anybodys_way(chromium, page_url, scheme):
    with opened(chromium, page_url, viewport=DESKTOP, color_scheme=scheme) as page:
        page.locator("#search").fill("song")
        page.locator("#search").press("ArrowDown")
        page.locator("#search").press("Enter")
        found = Axe().run(page)
        assert [f"{one['id']}: {one['help']}" for one in found.response["violations"]] == []
