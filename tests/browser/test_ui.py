"""The live page in a real browser, before a real broker and a real worker: `make test-browser`."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from segue.models.data.catalogue import SongDetails
from segue.models.gru.network import GRUConfig
from segue.offline.operations.catalogue import send_songs
from segue.offline.operations.local_stack import LocalStack
from segue.offline.simulation import WorldConfig, generate_world
from segue.offline.training.train_gru import train_gru_bundle
from segue.stream.config.settings import load_settings
from segue.stream.kafka.embedded_broker import EmbeddedBroker
from segue.stream.kafka.topics import ensure_topics
from segue.stream.runtime.processes import free_port
from tests.browser.browser import chromium, opened

__all__ = ["chromium"]

DESKTOP, PHONE = {"width": 1280, "height": 860}, {"width": 390, "height": 844}
LIST, HEARD = "#list > li", "#heard > li"
HOSTILE = "</script><img src=x onerror=alert(1)>"
SOON_S = 1.0  # from a click to the next list on the screen
PATIENT_MS = 180_000
CLOCK = """() => {
  window.took = NaN;
  addEventListener("click", () => { window.clicked = performance.now(); },
    { capture: true, once: true });
  const watch = new MutationObserver(() => {
    window.took = performance.now() - window.clicked;
    watch.disconnect();
  });
  watch.observe(document.getElementById("list"), { attributeFilter: ["data-event"] });
}"""
SHOTS = os.environ.get("SEGUE_TEST_SHOTS")


@pytest.fixture(scope="module")
def served(tmp_path_factory: Any) -> Iterator[str]:
    """Return the address of `segue ui`, with a broker, a worker and a small model behind it."""
    directory = tmp_path_factory.mktemp("ui")
    world = generate_world(WorldConfig(songs=600, genres=6, listeners=120, days=28), seed=3)
    train_gru_bundle(
        world.log, directory / "bundle", GRUConfig(), session_gap_s=1800, epochs=6, time_budget_s=30
    )
    with LocalStack(directory, directory / "bundle") as run:
        [first] = world.log.plays["song_id"].mode()[:1]
        send_songs(run.settings, {first: SongDetails(HOSTILE, "<b>Nobody")}, lambda sent: None)
        options = ("--bundle", run.bundle, "--metrics", f"127.0.0.1:{run.metrics_port}")
        with serving(run.settings.kafka_bootstrap, directory, *options) as address:
            yield address


@contextmanager
def serving(bootstrap: str, directory: Path, *options: object) -> Iterator[str]:
    """Run `segue ui` in a process of its own on a free port, and give its address."""
    port = free_port()
    command = [sys.executable, "-m", "segue.offline.cli", "ui", "--bootstrap", bootstrap]
    command += ["--port", str(port), *map(str, options)]
    environment = {**os.environ, "SEGUE_DATA_DIR": str(directory / "ui")}
    process = subprocess.Popen(command, env=environment)
    try:
        wait_until_served(port, process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENT_MS / 1000) == 0


def wait_until_served(port: int, process: Any) -> None:
    deadline = time.monotonic() + PATIENT_MS / 1000
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            assert process.poll() is None, "segue ui ended"
            assert time.monotonic() < deadline, "segue ui serves nothing"
            time.sleep(0.1)
        else:
            return


def shoot(page: Any, name: str) -> None:
    """Leave a picture where SEGUE_TEST_SHOTS says, for people to look at."""
    if SHOTS:
        page.wait_for_timeout(600)  # until nothing moves
        page.screenshot(path=f"{SHOTS}/{name}.png")


def first_play(page: Any, number: int = 0) -> None:
    page.locator("#found button").nth(number).click()
    expect(page.locator(HEARD)).to_have_count(1, timeout=PATIENT_MS)
    expect(page.locator(LIST)).to_have_count(20, timeout=PATIENT_MS)


def shown_songs(page: Any) -> list[str]:
    songs: list[str] = page.locator(LIST).evaluate_all("rows => rows.map(row => row.dataset.song)")
    return songs


def next_list(page: Any, click: Any) -> float:
    """Click, and give the seconds, by the page's own clock, until another list stood there."""
    plays, before = page.locator(HEARD).count(), page.locator("#list").get_attribute("data-event")
    page.evaluate(CLOCK)
    click()
    expect(page.locator(HEARD)).to_have_count(plays + 1, timeout=PATIENT_MS)
    expect(page.locator("#list")).not_to_have_attribute("data-event", before, timeout=PATIENT_MS)
    milliseconds: float = page.evaluate("took")
    return milliseconds / 1000


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_songs_are_clicked_and_lists_follow_within_a_second(chromium, served, scheme, size):
    with opened(chromium, served, viewport=size, color_scheme=scheme) as page:
        first_play(page, 2)
        expect(page.locator("#map-note")).to_be_hidden(timeout=PATIENT_MS)
        expect(page.locator("#map")).to_have_attribute("data-path", "1")
        first = shown_songs(page)
        seconds = [next_list(page, page.locator("#list .pick").nth(n).click) for n in (0, 2)]
        assert shown_songs(page) != first
        seconds.append(next_list(page, page.locator("#list .skip").first.click))
        expect(page.locator(f"{HEARD}.skipped")).to_have_count(1)
        seconds.append(next_list(page, page.locator("#repeat").click))
        seconds.append(next_list(page, page.locator("#play-next").click))
        print(f"{scheme} {size['width']}: {[round(each, 3) for each in seconds]} s")
        assert max(seconds) < SOON_S
        expect(page.locator("#map")).to_have_attribute("data-path", "6")
        expect(page.locator("#list .move").first).to_be_visible()
        assert page.locator("#list .why .bar").count() > 5
        assert page.locator("#list .chips li").first.text_content()
        expect(page.locator("#made-by")).to_contain_text("gru-")
        expect(page.locator("#own-hits")).to_contain_text("of 5 were in the list before")
        expect(page.locator("#figures")).to_contain_text("%", timeout=PATIENT_MS)
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, "the page is wider than the screen"
        shoot(page, f"{scheme}-{size['width']}")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_stands_in_anybodys_way(chromium, served, scheme):
    with opened(chromium, served, viewport=DESKTOP, color_scheme=scheme, bypass_csp=True) as page:
        for situation in ("empty", "listening"):
            if situation == "listening":
                first_play(page)
                page.wait_for_timeout(500)  # what fades in has little contrast
            found = Axe().run(page)
            reported = [f"{each['id']}: {each['help']}" for each in found.response["violations"]]
            assert reported == [], situation


def test_the_keyboard_alone_does(chromium, served):
    with opened(chromium, served, viewport=DESKTOP) as page:
        name = page.locator("#found .title").nth(3).text_content()
        page.keyboard.press("Tab")
        expect(page.locator(".skip-link")).to_be_focused()
        page.locator("#search").focus()
        page.keyboard.type(name.upper())
        expect(page.locator("#found .title").first).to_have_text(name)
        expect(page.locator("#found-title")).to_contain_text("found")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        expect(page.locator("#deck-title")).to_have_text(name, timeout=PATIENT_MS)
        expect(page.locator(LIST)).to_have_count(20, timeout=PATIENT_MS)
        expect(page.locator("#announce")).to_contain_text("comes first")
        page.locator("#list .pick").first.focus()
        next_list(page, lambda: page.keyboard.press("Enter"))
        assert page.evaluate("document.activeElement.className") == "pick"


def test_moves_are_told_where_motion_is_unwanted(chromium, served):
    with opened(chromium, served, viewport=DESKTOP, reduced_motion="reduce") as page:
        first_play(page)
        next_list(page, page.locator("#list .pick").first.click)
        assert page.evaluate("document.getAnimations().length") == 0
        expect(page.locator("#list .move").first).to_be_visible()


def test_the_map_shows_what_it_is_pointed_at_and_plays_it(chromium, served):
    with opened(chromium, served, viewport=DESKTOP) as page:
        first_play(page)
        expect(page.locator("#map-note")).to_be_hidden(timeout=PATIENT_MS)
        page.locator("#zoom").click()
        half = page.locator("#map").bounding_box()["width"] / 2
        for aside in range(0, 120, 9):
            place = {"x": half + aside, "y": half}
            page.locator("#map").hover(position=place)
            if page.locator("#tip").is_visible():
                break
        reported = page.locator("#tip").text_content()
        next_list(page, lambda: page.locator("#map").click(position=place))
        assert reported.startswith(page.locator("#deck-title").text_content())


def test_a_new_listener_begins_anew_and_a_theme_stays(chromium, served):
    with opened(chromium, served, viewport=DESKTOP, color_scheme="light") as page:
        first_play(page)
        page.locator("#renew").click()
        expect(page.locator(HEARD)).to_have_count(0)
        expect(page.locator(LIST)).to_have_count(0)
        expect(page.locator("#deck")).to_be_hidden()
        page.locator("#theme").click()
        page.locator("#theme").click()
        page.reload()
        expect(page.locator("html")).to_have_attribute("data-theme", "dark")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(18, 18, 22)"


def test_a_hostile_title_is_shown_as_what_it_is(chromium, served):
    with opened(chromium, served, viewport=DESKTOP) as page:
        page.locator("#search").fill("onerror")
        expect(page.locator("#found button")).to_have_count(1)
        first_play(page)
        expect(page.locator("#deck-title")).to_have_text(HOSTILE)
        expect(page.locator("#heard .title")).to_have_text(HOSTILE)
        expect(page.locator("#list .bar").first).to_contain_text(HOSTILE)
        assert page.locator("img").count() == 1  # the sign beside the page's own name
        assert page.locator("b").count() == 0


def test_a_worker_that_does_not_answer_is_missed(chromium, tmp_path):
    plays = tmp_path / "plays.csv"
    plays.write_text("user_id,song_id,played_at,title\nu,s,1700000000,So What\n")
    with EmbeddedBroker() as broker:
        ensure_topics(load_settings(kafka_bootstrap=broker.bootstrap))
        with (
            serving(broker.bootstrap, tmp_path, "--plays", plays) as address,
            opened(chromium, address, viewport=DESKTOP) as page,
        ):
            expect(page.locator("#state")).to_contain_text("Live as", timeout=PATIENT_MS)
            page.locator("#found button").click()
            expect(page.locator("#state")).to_contain_text("No worker responds", timeout=PATIENT_MS)
            expect(page.locator("#problem")).to_contain_text("is `segue worker` running?")
            shoot(page, "no-worker")


def test_what_is_missing_is_said(chromium, tmp_path):
    with (
        serving("127.0.0.1:9", tmp_path) as address,
        opened(chromium, address, viewport=PHONE) as page,
    ):
        expect(page.locator("#problem")).to_contain_text("127.0.0.1:9", timeout=PATIENT_MS)
        expect(page.locator("#state")).to_contain_text("Kafka is not available")
        expect(page.locator("#map-note")).to_contain_text("no bundle is given")
        shoot(page, "no-broker")
