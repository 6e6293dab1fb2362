"""Two models by their counts: intervals that hold, tests not too easily fooled, plain words."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from click.testing import CliRunner
from prometheus_client import CollectorRegistry, generate_latest
from scipy.stats import ttest_1samp

from offline.cli import main
from offline.live_counts import LiveCountsError, prometheus_counts, scrape_counts
from offline.paired_counts import (
    PairedCounts,
    TooFewPairs,
    compare_pairs,
    mcnemar_p,
    ratio_of_sums,
    verdict,
)
from stream.metrics import SHADOW_GROUPS, Metrics, ShadowMetrics

LISTENERS = 200
WORLDS = 200


def world(rng: np.random.Generator, lead: float) -> PairedCounts:
    """Draw pairs of listeners of whom each likes one of two models more, all of them `lead` more.

    So the plays of one listener are no independent witnesses.
    """
    groups = rng.integers(0, SHADOW_GROUPS, LISTENERS)
    active = rng.uniform(0.4, 0.6, LISTENERS)
    shadow = active + lead + rng.uniform(-0.3, 0.3, LISTENERS)
    plays = rng.integers(1, 60, LISTENERS)
    pairs, gains = [], []
    for group, count, a, b in zip(groups, plays, active, shadow, strict=True):
        hit_a, hit_b = rng.random(count) < a, rng.random(count) < b
        pairs += [
            ("both", group, float((hit_a & hit_b).sum())),
            ("segue", group, float((hit_a & ~hit_b).sum())),
            ("shadow", group, float((~hit_a & hit_b).sum())),
            ("neither", group, float((~hit_a & ~hit_b).sum())),
        ]
        gains += [("segue", group, hit_a.sum() / 2), ("shadow", group, hit_b.sum() / 2)]
    return PairedCounts.of(pairs, gains)


def test_groups_of_one_size_give_the_t_test_of_their_means():
    values = np.random.default_rng(5).normal(0.5, 1, 12)
    found, known = ratio_of_sums(values * 7, np.full(12, 7.0)), ttest_1samp(values, 0)
    assert found["difference"] == pytest.approx(values.mean())
    assert found["p"] == pytest.approx(known.pvalue)
    assert found["ci"] == pytest.approx(list(known.confidence_interval(0.95)))


def test_lists_that_never_differ_are_no_different():
    assert ratio_of_sums(np.zeros(4), np.ones(4)) == {"difference": 0, "ci": [0, 0], "p": 1}


def test_mcnemar_is_the_binomial_test_of_the_pairs_that_differ():
    # 2 * (1 + 8 + 28) / 2^8, by hand; and Sokal and Rohlf's way of seeing 59 against 6.
    assert mcnemar_p(2, 6) == pytest.approx(74 / 256)
    assert mcnemar_p(59, 6) == pytest.approx(mcnemar_p(6, 59))
    assert mcnemar_p(59, 6) < 1e-11


def test_models_alike_are_told_apart_as_seldom_as_claimed_and_mcnemar_is_fooled_more_often():
    rng = np.random.default_rng(11)
    found = [compare_pairs(world(rng, 0.0)) for _ in range(WORLDS)]
    clustered = np.mean([one["difference"]["hit_rate_at_20"]["p"] < 0.05 for one in found])
    naive = np.mean([one["mcnemar_p"] < 0.05 for one in found])
    assert clustered == pytest.approx(0.05, abs=0.035)
    assert naive > 2 * clustered


def test_intervals_hold_the_difference_as_often_as_claimed():
    rng = np.random.default_rng(12)
    worlds = [compare_pairs(world(rng, 0.05))["difference"] for _ in range(WORLDS)]
    for metric, known in (("hit_rate_at_20", 0.05), ("mrr_at_20", 0.025)):
        intervals = [found[metric]["ci"] for found in worlds]
        held = np.mean([low <= known <= high for low, high in intervals])
        assert held == pytest.approx(0.95, abs=0.035)


def test_a_lead_is_seen_with_its_sign():
    better = compare_pairs(world(np.random.default_rng(1), 0.1))
    worse = compare_pairs(world(np.random.default_rng(1), -0.1))
    assert better["verdict"] == "the shadow is better in hits and ranks"
    assert worse["verdict"] == "the active model is better in hits and ranks"
    assert better["shadow"]["hit_rate_at_20"] > better["segue"]["hit_rate_at_20"]
    assert sum(better["outcomes"].values()) == better["pairs"]


@pytest.mark.parametrize(
    ("leads", "words"),
    [
        ([(0.02, 0.001), (-0.01, 0.001)], "mixed: the shadow leads in hits, the active"),
        ([(-0.02, 0.001), (0.01, 0.001)], "mixed: the shadow leads in ranks, the active"),
        ([(0.02, 0.3), (0.01, 0.001)], "the shadow is better in ranks"),
        ([(0.02, 0.3), (0.01, 0.3)], "no difference that chance would not make"),
    ],
)
def test_a_verdict_is_told_in_words(leads, words):
    names = ("hit_rate_at_20", "mrr_at_20")
    tests = {
        name: {"difference": lead, "p_holm": p, "ci": [-0.01, 0.03]}
        for name, (lead, p) in zip(names, leads, strict=True)
    }
    assert verdict(tests).startswith(words)


def test_too_few_pairs_or_listeners_are_refused():
    few = PairedCounts.of([("both", n, 1.0) for n in range(32)], [])
    with pytest.raises(TooFewPairs, match="32 pairs of 32 groups of listeners are too few"):
        compare_pairs(few)
    with pytest.raises(TooFewPairs, match="5000 pairs of 1 groups"):
        compare_pairs(PairedCounts.of([("both", 3, 5_000.0)], []))


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
    told = generate_latest(worker_metrics(**options).registry)
    with answering(lambda path: (200, told) if path == "/metrics" else (404, b"")) as address:
        yield address


def compare(*arguments: str):
    return CliRunner().invoke(main, ["compare", *arguments])


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
            "2 active models made these pairs (gru-1, ",
        ),
        (["--metrics", "WORKER/elsewhere"], "/elsewhere answers 404"),
        (["--metrics", "127.0.0.1:1"], "http://127.0.0.1:1/metrics does not answer: "),
        (["--metrics", "file:///etc/hosts"], "is no web address"),
        (["--metrics", "WORKER", "--prometheus", "WORKER"], "not both"),
        (["--since", "1h"], "--since is of --prometheus"),
        (["--prometheus", "WORKER", "--since", "yesterday"], "'yesterday' is no window of time"),
        (["--prometheus", "WORKER"], "/query?query=sum"),
        (["--prometheus", "PAGE"], "does not answer as Prometheus does: name its own address"),
        (["--metrics", "PAGE/metrics"], "tells no metrics"),
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
    told = generate_latest(metrics.registry).replace(
        b"segue_shadow_running 1.0", b"segue_shadow_running 0.0"
    )
    with answering(lambda _: (200, told)) as address:
        assert scrape_counts([address]).failed
        assert "has failed and is off" in compare("--metrics", address).output


def vector(*series: tuple[dict[str, str], float]) -> bytes:
    """Write an instant query's answer as Prometheus' HTTP API documents it."""
    result = [
        {"metric": labels, "value": [1_700_000_000.5, str(value)]} for labels, value in series
    ]
    return json.dumps(
        {"status": "success", "data": {"resultType": "vector", "result": result}}
    ).encode()


def prometheus(path: str, versions: tuple[str, ...] = ("gru-1",)) -> tuple[int, bytes]:
    """Answer the queries that `prometheus_counts` asks, of a shadow that leads."""
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


def test_prometheus_is_asked_over_a_window_and_counts_whole_pairs():
    with answering(prometheus) as address:
        live = prometheus_counts(address, "30m")
        result = compare("--prometheus", f"http://{address}/", "--since", "30m")
    assert (live.active, live.shadow, live.failed) == ("gru-1", "hybrid-1", False)
    assert live.counts.outcomes["shadow"].tolist() == [10 + g for g in range(SHADOW_GROUPS)]
    assert live.counts.outcomes["segue"].tolist() == [3] * SHADOW_GROUPS
    assert "Verdict: the shadow is better" in result.output


def test_a_window_over_which_the_model_changed_is_refused():
    with (
        answering(lambda path: prometheus(path, ("gru-1", "gru-2"))) as address,
        pytest.raises(LiveCountsError, match="a shorter window"),
    ):
        prometheus_counts(address, "30m")
