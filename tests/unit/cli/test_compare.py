"""`segue compare`: the counts of real /metrics and of Prometheus, and every refusal."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from segue.offline.shadow_test.scrape import ScrapeError, query_counters, scrape_counters
from segue.stream.observability.metrics import SHADOW_GROUPS, Metrics, ShadowMetrics
from tests.support.cli import segue


@contextmanager
def answering(answer: Callable[[str], tuple[int, bytes]]) -> Iterator[str]:
    """Serve what `answer` gives for a path, and give the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answer(self.path)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def worker_metrics(pairs: int = 10, active: str = "gru-1", shadow: bool = True) -> Metrics:
    """Make the metrics of a worker whose shadow alone hit, `pairs` times in each group."""
    metrics = Metrics(CollectorRegistry())
    metrics.model.info({"version": active})
    if shadow:
        counted = ShadowMetrics(metrics)
        counted.begin("hybrid-1")
        for group in range(SHADOW_GROUPS):
            for number in range(pairs):
                counted.judge(group, None, None if number == group else 2)
    return metrics


@contextmanager
def worker(**options: object) -> Iterator[str]:
    reported = generate_latest(worker_metrics(**options).registry)
    with answering(lambda path: (200, reported) if path == "/metrics" else (404, b"")) as address:
        yield address


def compare(*arguments: str):
    return segue("compare", *arguments)


def test_workers_are_added_up_and_the_better_model_is_named(tmp_path):
    file = tmp_path / "figures.json"
    with worker() as one, worker(pairs=20) as other, worker(shadow=False) as without:
        addresses = (one, f"http://{other}/metrics", without)
        named = [word for address in addresses for word in ("--metrics", address)]
        result = compare(*named, "--json", str(file))
    assert result.exit_code == 0, result.output
    assert "Verdict: the shadow is better in hits and ranks." in result.output
    figures = json.loads(file.read_text())
    assert figures["models"] == {"segue": "gru-1", "shadow": "hybrid-1"}
    assert figures["outcomes"] == {"both": 0, "segue": 0, "shadow": 930, "neither": 30}
    assert figures["shadow"]["mrr_at_20"] == pytest.approx(930 / 960 / 2)
    assert figures["difference"]["hit_rate_at_20"]["difference"] == pytest.approx(930 / 960)


def test_a_setting_says_where_the_worker_is(monkeypatch):
    with worker() as address:
        monkeypatch.setenv("SEGUE_METRICS_PORT", address.rpartition(":")[2])
        assert "Verdict" in compare().output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--metrics", "NONE"], "no shadow model runs there: start workers with `segue worker --s"),
        (["--metrics", "FEW"], "32 pairs of 32 groups of listeners are too few to compare: wait"),
        (
            ["--metrics", "WORKER", "--metrics", "OTHER"],
            "2 active models have these pairs (gru-1, ",
        ),
        (["--metrics", "WORKER/elsewhere"], "/elsewhere responds 404"),
        (["--metrics", "127.0.0.1:1"], "http://127.0.0.1:1/metrics does not respond: "),
        (["--metrics", "file:///etc/hosts"], "is not a URL"),
        (["--metrics", "WORKER", "--prometheus", "WORKER"], "not both"),
        (["--since", "1h"], "--since needs --prometheus"),
        (["--prometheus", "WORKER", "--since", "yesterday"], "'yesterday' is not a time range"),
        (["--prometheus", "WORKER"], "/query?query=sum"),
        (["--prometheus", "PAGE"], "is not Prometheus: give its address"),
        (["--metrics", "PAGE/metrics"], "has no metrics"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_one_line(arguments, words):
    with (
        worker() as one,
        worker(active="gru-2") as other,
        worker(shadow=False) as none,
        worker(pairs=1) as few,
        answering(lambda _: (200, b"<html>a page</html>")) as page,
    ):
        given = " ".join(arguments)
        named = {"WORKER": one, "OTHER": other, "NONE": none, "FEW": few, "PAGE": page}
        for name, address in named.items():
            given = given.replace(name, address)
        result = compare(*given.split(" "))
    assert result.exit_code != 0
    assert words in result.output
    assert "Traceback" not in result.output


def test_a_shadow_that_failed_is_told_of():
    metrics = worker_metrics()
    reported = generate_latest(metrics.registry).replace(
        b"segue_shadow_running 1.0", b"segue_shadow_running 0.0"
    )
    with answering(lambda _: (200, reported)) as address:
        assert scrape_counters([address]).failed
        assert "has failed and is off" in compare("--metrics", address).output


def test_a_shadow_that_could_not_be_loaded_is_no_missing_one():
    metrics = worker_metrics(shadow=False)
    ShadowMetrics(metrics).fail()
    reported = generate_latest(metrics.registry)
    with answering(lambda _: (200, reported)) as address, worker() as other:
        assert "the shadow model there failed" in compare("--metrics", address).output
        both = scrape_counters([address, other])
    assert both.failed
    assert both.shadow == "hybrid-1"


def vector(*series: tuple[dict[str, str], float]) -> bytes:
    """Write an instant query's answer as Prometheus' HTTP API documents it."""
    result = [
        {"metric": labels, "value": [1_700_000_000.5, str(value)]} for labels, value in series
    ]
    return json.dumps(
        {"status": "success", "data": {"resultType": "vector", "result": result}}
    ).encode()


def prometheus(path: str, versions: tuple[str, ...] = ("gru-1",)) -> tuple[int, bytes]:
    """Answer the queries that `query_counters` asks, of a shadow that leads."""
    parts = urlsplit(path)
    assert parts.path == "/api/v1/query"
    [query] = parse_qs(parts.query)["query"]
    groups = [str(group) for group in range(SHADOW_GROUPS)]
    if "segue_shadow_pairs_total[30m]" in query:
        series = [({"outcome": "shadow", "group": g}, 10.002 + int(g)) for g in groups]
        series += [({"outcome": "segue", "group": g}, 2.998) for g in groups]
        return 200, vector(*series)
    if "segue_shadow_reciprocal_ranks_at_20_total[30m]" in query:
        return 200, vector(*(({"list": "shadow", "group": g}, 4.0) for g in groups))
    if "segue_model_info" in query:
        return 200, vector(*(({"version": version}, 1) for version in versions))
    if "segue_shadow_model_info" in query:
        return 200, vector(({"version": "hybrid-1"}, 1))
    assert query == "min(segue_shadow_running)"
    return 200, vector(({}, 1))


def test_prometheus_is_asked_over_a_window_and_its_counts_are_told_whole():
    with answering(prometheus) as address:
        live = query_counters(address, "30m")
        result = compare("--prometheus", f"http://{address}/", "--since", "30m")
    assert (live.active, live.shadow, live.failed) == ("gru-1", "hybrid-1", False)
    assert live.counts.outcomes["shadow"].tolist() == [10.002 + g for g in range(SHADOW_GROUPS)]
    assert "of the active alone 96, of the shadow alone 816, of neither 0" in result.output
    assert "Verdict: the shadow is better" in result.output


def test_a_window_over_which_the_model_changed_is_refused():
    with (
        answering(lambda path: prometheus(path, ("gru-1", "gru-2"))) as address,
        pytest.raises(ScrapeError, match="a shorter window"),
    ):
        query_counters(address, "30m")
