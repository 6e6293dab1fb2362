"""Counters of a shadow model, from workers' metrics or over a window from Prometheus."""

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
    """Counters that are not available, or not of one pair of models."""


@dataclass(frozen=True)
class ShadowCounters:
    """The pairs of one active and one shadow model. failed: a worker's shadow has failed."""

    active: str
    shadow: str
    counts: PairedCounts
    failed: bool


def scrape_counters(addresses: Sequence[str]) -> ShadowCounters:
    """Sum the counters of workers since each started.

    Raises ScrapeError where one does not respond or none has a shadow.
    """
    found: list[Sample] = []
    for address in addresses:
        samples = list(_scrape(metrics_url(address)))
        if any(name == RUNNING for name, _, _ in samples):
            found += samples
    return _counters_of(found, "there")


def query_counters(address: str, since: str) -> ShadowCounters:
    """Query Prometheus for the increase of all workers' counters over a window such as 1h.

    Prometheus extrapolates increases to the whole window, so counts are not integers; all are
    scaled alike, so rates and differences are not affected. Raises ScrapeError where it does not
    respond or has no shadow.
    """
    if not WINDOW.fullmatch(since):
        raise ScrapeError(f"--since {since!r} is not a time range: give one like 30m, 6h or 7d")
    found = [
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
    return _counters_of(found, f"in the last {since}")


def _counters_of(samples: Iterable[Sample], where: str) -> ShadowCounters:
    by_name: dict[str, list[tuple[Mapping[str, str], float]]] = {}
    for name, labels, value in samples:
        by_name.setdefault(name, []).append((labels, value))
    if PAIRS not in by_name and RUNNING in by_name:
        raise ScrapeError(f"the shadow model {where} failed: see the worker's log")
    if PAIRS not in by_name:
        raise ScrapeError(
            f"no shadow model runs {where}: start workers with `segue worker --shadow BUNDLE`"
        )
    return ShadowCounters(
        _one_version(by_name, ACTIVE_MODEL, "active"),
        _one_version(by_name, SHADOW_MODEL, "shadow"),
        PairedCounts.of(
            [(of["outcome"], int(of["group"]), count) for of, count in by_name[PAIRS]],
            [(of["list"], int(of["group"]), count) for of, count in by_name[RECIPROCAL_RANKS]],
        ),
        failed=any(value == 0 for _, value in by_name.get(RUNNING, ())),
    )


def _one_version(
    by_name: Mapping[str, list[tuple[Mapping[str, str], float]]], name: str, role: str
) -> str:
    versions = sorted({of["version"] for of, _ in by_name.get(name, ()) if "version" in of})
    if len(versions) != 1:
        raise ScrapeError(
            f"{len(versions)} {role} models have these pairs ({', '.join(versions)}): compare "
            "workers with the same model, or a shorter window"
        )
    return versions[0]


def metrics_url(address: str) -> str:
    """Return the URL of a worker's metrics for an address such as localhost:9464."""
    url = address if "//" in address else f"http://{address}"
    return url if urlsplit(url).path.strip("/") else f"{url.rstrip('/')}/metrics"


def _scrape(url: str) -> Iterator[Sample]:
    text = _read(url).decode(errors="replace")
    try:
        families = list(text_string_to_metric_families(text))
    except ValueError as error:
        raise ScrapeError(f"{url} has no metrics: {error}. Give a worker's /metrics") from error
    for family in families:
        for found in family.samples:
            yield found.name, found.labels, found.value


def _queried(address: str, name: str, query: str) -> Iterator[Sample]:
    """Yield the samples of an instant query under `name`."""
    url = address if "//" in address else f"http://{address}"
    query_url = f"{url.rstrip('/')}/api/v1/query?{urlencode({'query': query})}"
    try:
        response: Any = json.loads(_read(query_url))
        found = [(one["metric"], float(one["value"][1])) for one in response["data"]["result"]]
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise ScrapeError(
            f"{address} is not Prometheus: give its address, such as http://127.0.0.1:9090"
        ) from error
    for labels, value in found:
        yield name, labels, value


def _read(url: str) -> bytes:
    if urlsplit(url).scheme not in ("http", "https"):
        raise ScrapeError(f"{url} is not a URL: start it with http:// or https://")
    try:
        with urlopen(url, timeout=TIMEOUT_S) as response:  # noqa: S310 - http or https, as checked
            body: bytes = response.read()
    except HTTPError as error:
        raise ScrapeError(f"{url} responds {error.code} {error.reason}") from error
    except (URLError, OSError) as error:
        why = getattr(error, "reason", error)
        raise ScrapeError(f"{url} does not respond: {why}. Is it running there?") from error
    return body
