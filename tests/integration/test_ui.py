"""The live page's server beside a real broker and a real worker: plays out, lists in."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from segue.offline.ui.process import UiConfig, load_songs
from segue.offline.ui.song_search import SongSearch
from segue.offline.ui.state import FULL_LISTEN_MS, SKIP_MS, LivePage, PageConfig
from segue.stream.kafka.embedded_broker import EmbeddedBroker
from segue.stream.kafka.topics import ensure_topics
from segue.stream.runtime.processes import free_port
from tests.support.brokers import own_settings
from tests.support.live import Reader, Worker, lists
from tests.support.page_client import answers, browsing, connected, listed, problem
from tests.support.schemas import errors
from tests.support.toy import song, write_toy_bundle
from tests.support.waiting import PATIENCE_S

TITLES = {song(n): (f"Blå {n}", "Ann & Bob") for n in range(12)}


@pytest.fixture(scope="module")
def live(broker, tmp_path_factory) -> Any:
    """A broker, its topics, and a worker with a bundle of twelve songs."""
    directory = tmp_path_factory.mktemp("ui")
    bundle = directory / "bundle"
    write_toy_bundle(bundle, songs=12, titles=TITLES)
    options = {"data_dir": directory / "data", "bundle": bundle, "metrics_port": free_port()}
    settings = own_settings(broker, **options)
    ensure_topics(settings)
    port = str(settings.metrics_port)
    with Worker(settings, directory / "worker.log", "--metrics-port", port).running():
        yield settings


def page_of(settings: Any, *, mapped: bool = False, metrics: tuple[str, ...] = ()) -> LivePage:
    """Make a page that knows the bundle's songs. mapped: and draws their map, which takes time."""
    book, version = load_songs(UiConfig(settings), settings.bundle)
    bundle = settings.bundle if mapped else None
    return LivePage(PageConfig(settings, bundle, version, metrics, 10, settings.data_dir), book)


def test_a_click_is_a_play_for_everybody_and_its_list_comes_back_with_reasons(live):
    async def listen() -> Any:
        async with browsing(page_of(live, mapped=True)) as browser:
            await browser.until(connected)
            first = await browser.play(song(2))
            shown = await browser.until(lambda heard: listed(heard) is not None)
            assert listed(shown)["eventId"] == first["eventId"]
            assert listed(shown)["first"]
            await browser.until(lambda heard: heard["status"]["map"] == "ready")
            best = listed(browser.heard)["items"][0]["song"]["id"]
            second = await browser.play(best, skipped=True, found="list")
            third = await browser.play(song(2), found="session")
            await browser.until(lambda heard: answers(heard, third))
            return browser.heard["listener"], [first, second, third], best

    shown, events, best = asyncio.run(listen())
    assert [each["eventId"] for each in shown["plays"]] == [each["eventId"] for each in events]
    assert [each["rank"] for each in shown["plays"]][:2] == [None, 1]
    made = shown["list"]
    assert made["model"].startswith("gru-")
    assert 0 < made["latencyMs"] < PATIENCE_S * 1000
    heard = {song(2), best}
    reasons = [why for item in made["items"] for why in item["because"]]
    assert reasons
    assert {why["song"]["id"] for why in reasons} <= heard
    assert all(0 <= why["weight"] <= 1 for why in reasons)
    assert all(item["sources"] for item in made["items"])
    assert all(item["song"]["at"] and item["song"]["title"] for item in made["items"])
    assert any(item["before"] is not None for item in made["items"])
    check_plays(live, shown["userId"], [song(2), best, song(2)])


def check_plays(settings: Any, user_id: str, songs: list[str]) -> None:
    """Check that the topic of plays has what was clicked, by the schema, and lists answer it."""
    reader = Reader(settings, settings.topic_plays)
    mine = lambda records: [one for one in records if one.key == user_id.encode()]  # noqa: E731
    records = mine(reader.read_until(lambda found: len(mine(found)) >= len(songs)))
    reader.close()
    plays = [json.loads(record.value) for record in records]
    assert [errors("play", each) for each in plays] == [[]] * len(songs)
    assert [each["song_id"] for each in plays] == songs
    assert [each["skipped"] for each in plays] == [False, True, False]
    assert [each["ms_played"] for each in plays] == [FULL_LISTEN_MS, SKIP_MS, FULL_LISTEN_MS]
    assert [each["context"]["found"] for each in plays] == ["search", "list", "session"]
    reader = Reader(settings, settings.topic_recommendations)
    made = lists(mine(reader.read_until(lambda found: len(mine(found)) >= len(songs))))
    reader.close()
    assert [each.cause.event_id for each in made] == [each["event_id"] for each in plays]


def test_a_new_listener_has_heard_nothing_and_a_browser_sees_its_own_alone(live):
    async def listen() -> None:
        page = page_of(live)
        async with browsing(page) as anna, browsing(page) as bert:
            await anna.until(connected)
            await anna.play(song(3))
            await anna.until(lambda heard: listed(heard) is not None)
            await bert.until(lambda heard: "listener" in heard)
            assert bert.heard["listener"]["plays"] == []
            user_id = anna.heard["listener"]["userId"]
            assert bert.heard["listener"]["userId"] != user_id
            renewed = await (await anna.post("/api/listener", {})).json()
            assert renewed["userId"] != user_id
            await anna.until(lambda heard: heard["listener"]["userId"] == renewed["userId"])
            assert anna.heard["listener"]["plays"] == []
            assert listed(anna.heard) is None

    asyncio.run(listen())


def test_songs_of_the_topic_can_be_found_and_played(live):
    from segue.models.data.catalogue import SongDetails
    from segue.offline.operations.catalogue import send_songs

    send_songs(live, {"fresh": SongDetails("Überall", "Neue Band")}, lambda sent: None)

    async def look() -> Any:
        async with browsing(page_of(live)) as browser:
            await browser.until(lambda heard: connected(heard) and heard["status"]["songs"] == 13)
            answer = await browser.client.get("/api/songs", params={"q": "BAND uber"})
            found = await answer.json()
            await browser.play("fresh")
            await browser.until(lambda heard: listed(heard) is not None)
            return found["songs"]

    assert asyncio.run(look()) == [
        {"id": "fresh", "title": "Überall", "artist": "Neue Band", "at": None}
    ]


def test_nobody_plays_faster_than_a_person_can(live):
    async def hurry() -> list[int]:
        async with browsing(page_of(live)) as browser:
            await browser.until(connected)
            plays = [browser.post("/api/plays", {"song_id": song(1)}) for _ in range(20)]
            return sorted({answer.status for answer in await asyncio.gather(*plays)})

    assert asyncio.run(hurry()) == [202, 429]


def test_a_page_without_broker_worker_or_songs_says_what_is_missing(broker, tmp_path):
    def alone(settings: Any, book: SongSearch) -> Any:
        config = PageConfig(settings, None, None, ("http://127.0.0.1:9/metrics",), 10, tmp_path)
        return browsing(LivePage(config, book))

    async def no_broker() -> None:
        settings = own_settings("127.0.0.1:9", data_dir=tmp_path)
        async with alone(settings, SongSearch(["s"])) as browser:
            reported = "127.0.0.1:9"
            await browser.until(lambda heard: "does it run there" in problem(heard))
            assert reported in browser.heard["status"]["problem"]
            refused = await browser.post("/api/plays", {"song_id": "s"})
            assert refused.status == 503
            assert reported in (await refused.json())["error"]
            await browser.until(lambda heard: heard["listener"]["plays"] == [])

    async def no_topics() -> None:
        async with alone(own_settings(broker, data_dir=tmp_path), SongSearch()) as browser:
            await browser.until(lambda heard: "is missing: run `segue topics`" in problem(heard))

    async def no_worker() -> None:
        settings = own_settings(broker, data_dir=tmp_path)
        ensure_topics(settings)
        async with alone(settings, SongSearch(["s"])) as browser:
            await browser.until(connected)
            await browser.play("s")
            await browser.until(lambda heard: heard["status"]["waitsS"] >= 2)
            await browser.until(lambda heard: "figures" in heard)
            status, figures = browser.heard["status"], browser.heard["figures"]
            assert (status["songs"], status["bundle"]) == (1, None)
            assert (status["map"], status["mapProblem"]) == ("none", "no bundle is given")
            assert (figures["workers"], figures["hitRate"]) == (0, None)

    for situation in (no_broker, no_topics, no_worker):
        asyncio.run(situation())


def test_figures_come_from_a_worker_that_tells_them(live):
    async def listen() -> Any:
        url = f"http://127.0.0.1:{live.metrics_port}/metrics"
        async with browsing(page_of(live, metrics=(url,))) as browser:
            await browser.until(
                lambda heard: connected(heard) and heard.get("figures", {}).get("workers") == 1
            )
            for number in (1, 2, 3):
                event = await browser.play(song(number))
                await browser.until(lambda heard, event=event: answers(heard, event))
            await browser.until(lambda heard: heard["figures"]["judged"] == 2)
            return browser.heard["figures"]

    figures = asyncio.run(listen())
    assert figures["playsPerS"] > 0
    assert figures["listsPerS"] > 0
    assert 0 <= figures["latencyP50Ms"] <= figures["latencyP99Ms"]
    assert figures["hitRate"] == 1.0  # twelve songs, and lists of twenty


def test_a_broker_that_goes_is_told_of_and_one_that_comes_back_is_used(tmp_path):
    async def watch(broker: EmbeddedBroker, settings: Any) -> None:
        page = LivePage(
            PageConfig(settings, None, None, (), 10, settings.data_dir), SongSearch(["s"])
        )
        async with browsing(page) as browser:
            await browser.until(connected)
            await asyncio.to_thread(broker.kill)
            await browser.until(lambda heard: settings.kafka_bootstrap in problem(heard))
            assert (await browser.post("/api/plays", {"song_id": "s"})).status == 503
            await asyncio.to_thread(broker.start)
            await asyncio.to_thread(ensure_topics, settings)
            await browser.until(connected)
            await browser.play("s")

    with EmbeddedBroker() as broker:
        settings = own_settings(broker.bootstrap, data_dir=tmp_path)
        ensure_topics(settings)
        asyncio.run(watch(broker, settings))
