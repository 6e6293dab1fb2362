"""The counts of a shadow model: from workers' own metrics, or over a window from Prometheus."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode, urlsplit
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

from segue.models.errors import SegueError
from segue.offline.shadow_test.paired_counts import PairedCounts

TIMEOUT_S = 10
PAIRS = "segue_shadow_pairs_total"
RECIPROCAL_RANKS = "segue_shadow_reciprocal_ranks_at_20_total"
RUNNING = "segue_shadow_running"
ACTIVE_MODEL = "segue_model_info"
SHADOW_MODEL = "segue_shadow_model_info"
WINDOW = re.compile(r"([1-9][0-9]*[smhdw])+")

Sample = tuple[str, Mapping[str, str], float]


class ScrapeError(SegueError):
    """Counts that cannot be had, or that are not of one pair of models."""


@dataclass(frozen=True)
class ShadowCounters:
    """The pairs of one active model and one shadow. failed: that some worker's shadow is off."""

    active: str
    shadow: str
    counts: PairedCounts
    failed: bool


def scrape_counters(addresses: Sequence[str]) -> ShadowCounters:
    """Add up what workers tell at their metrics addresses, since each began.

    Raises ScrapeError where one does not answer or none has a shadow.
    """
    told: list[Sample] = []
    for address in addresses:
        samples = list(_scrape(metrics_url(address)))
        if any(name == RUNNING for name, _, _ in samples):
            told += samples
    return _counts_of(told, "there")


def query_counters(address: str, since: str) -> ShadowCounters:
    """Ask Prometheus how much the counts of all its workers grew over a window such as 1h.

    Prometheus stretches growth between scrapes over the whole window, so counts are no whole
    numbers; all are stretched alike, so rates and differences stay what they are.
    Raises ScrapeError where it does not answer or knows of no shadow.
    """
    if not WINDOW.fullmatch(since):
        raise ScrapeError(f"--since {since!r} is no window of time: give one like 30m, 6h or 7d")
    told = [
        *_queried(address, PAIRS, f"sum by (outcome, group) (increase({PAIRS}[{since}]))"),
        *_queried(
            address,
            RECIPROCAL_RANKS,
            f"sum by (list, group) (increase({RECIPROCAL_RANKS}[{since}]))",
        ),
        *_queried(address, RUNNING, f"min({RUNNING})"),
        *_queried(
            address, SHADOW_MODEL, f"group by (version) (last_over_time({SHADOW_MODEL}[{since}]))"
        ),
        *_queried(
            address,
            ACTIVE_MODEL,
            f"group by (version) (last_over_time({ACTIVE_MODEL}[{since}]) "
            f"and on (instance, job) last_over_time({SHADOW_MODEL}[{since}]))",
        ),
    ]
    return _counts_of(told, f"in the last {since}")


def _counts_of(samples: Iterable[Sample], where: str) -> ShadowCounters:
    told: dict[str, list[tuple[Mapping[str, str], float]]] = {}
    for name, labels, value in samples:
        told.setdefault(name, []).append((labels, value))
    if PAIRS not in told and RUNNING in told:
        raise ScrapeError(f"the shadow model {where} failed: the worker's log says why")
    if PAIRS not in told:
        raise ScrapeError(
            f"no shadow model runs {where}: start workers with `segue worker --shadow BUNDLE`"
        )
    return ShadowCounters(
        _one_version(told, ACTIVE_MODEL, "active"),
        _one_version(told, SHADOW_MODEL, "shadow"),
        PairedCounts.of(
            [(of["outcome"], int(of["group"]), count) for of, count in told[PAIRS]],
            [(of["list"], int(of["group"]), count) for of, count in told[RECIPROCAL_RANKS]],
        ),
        failed=any(value == 0 for _, value in told.get(RUNNING, ())),
    )


def _one_version(
    told: Mapping[str, list[tuple[Mapping[str, str], float]]], name: str, role: str
) -> str:
    versions = sorted({of["version"] for of, _ in told.get(name, ()) if "version" in of})
    if len(versions) != 1:
        raise ScrapeError(
            f"{len(versions)} {role} models made these pairs ({', '.join(versions)}): compare "
            "workers that serve the same one, or a shorter window"
        )
    return versions[0]


def metrics_url(address: str) -> str:
    """Write an address, such as localhost:9464, as the URL of a worker's metrics."""
    url = address if "//" in address else f"http://{address}"
    return url if urlsplit(url).path.strip("/") else f"{url.rstrip('/')}/metrics"


def _scrape(url: str) -> Iterator[Sample]:
    text = _read(url).decode(errors="replace")
    try:
        families = list(text_string_to_metric_families(text))
    except ValueError as error:
        raise ScrapeError(f"{url} tells no metrics: {error}. Name a worker's /metrics") from error
    for family in families:
        for found in family.samples:
            yield found.name, found.labels, found.value


def _queried(address: str, name: str, query: str) -> Iterator[Sample]:
    """Give the samples of an instant query under the name of what it asks about."""
    url = address if "//" in address else f"http://{address}"
    asked = f"{url.rstrip('/')}/api/v1/query?{urlencode({'query': query})}"
    try:
        answer: Any = json.loads(_read(asked))
        found = [(one["metric"], float(one["value"][1])) for one in answer["data"]["result"]]
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise ScrapeError(
            f"{address} does not answer as Prometheus does: name its own address, "
            "such as http://127.0.0.1:9090"
        ) from error
    for labels, value in found:
        yield name, labels, value


def _read(url: str) -> bytes:
    if urlsplit(url).scheme not in ("http", "https"):
        raise ScrapeError(f"{url} is no web address: begin it with http:// or https://")
    try:
        with urlopen(url, timeout=TIMEOUT_S) as answer:  # noqa: S310 - http or https, as checked
            body: bytes = answer.read()
    except HTTPError as error:
        raise ScrapeError(f"{url} answers {error.code} {error.reason}") from error
    except (URLError, OSError) as error:
        why = getattr(error, "reason", error)
        raise ScrapeError(f"{url} does not answer: {why}. Does it run there?") from error
    return body
