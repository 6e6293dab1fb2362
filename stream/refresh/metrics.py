"""Every metric of a refresh process, on one page."""

from __future__ import annotations

from itertools import product

from prometheus_client import CollectorRegistry, Counter, Gauge

from segue.models.refresh.bundle_refresh import REFRESHED_KINDS
from segue.stream.observability.metrics import add_process_metrics
from segue.stream.refresh.refresh import Outcome
from segue.stream.refresh.sessions import FreshSessions


class RefreshMetrics:
    """The metrics of one refresh process, in a registry of its own."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = r = registry or CollectorRegistry()
        add_process_metrics(r)
        self.plays = Counter("segue_refresh_plays", "Plays taken in", registry=r)
        self.sessions = Gauge(
            "segue_refresh_sessions",
            "Sessions remembered: open, fresh, reservoir",
            ["state"],
            registry=r,
        )
        self.plays_since = Gauge(
            "segue_refresh_plays_since", "Plays taken in since the last refresh", registry=r
        )
        self.learned = Gauge(
            "segue_refresh_learned_seconds",
            "Time of the last play that the bundle in force has learned, Unix seconds",
            ["kind"],
            registry=r,
        )
        self.refreshes = Counter(
            "segue_refreshes",
            "Refreshed bundles, by kind and outcome: accepted, refused, failed",
            ["kind", "outcome"],
            registry=r,
        )
        # From 0, as an increase from nothing is none to Prometheus.
        for labels in product(REFRESHED_KINDS, ("accepted", "refused", "failed")):
            self.refreshes.labels(*labels)
        self.late = Gauge(
            "segue_refresh_late_seconds",
            "Seconds that a refresh has been due or has run by now; 0 where none is due",
            registry=r,
        )
        self.hit_rate = Gauge(
            "segue_refresh_hit_rate_at_20",
            "On the newest sessions held back: of the bundle before, and of the refreshed one",
            ["kind", "bundle"],
            registry=r,
        )
        self.cosine = Gauge(
            "segue_refresh_cosine",
            "Mean cosine of frequent songs' vectors with themselves before, turned back",
            ["kind"],
            registry=r,
        )
        self.new_songs = Counter(
            "segue_refresh_new_songs",
            "Songs new to accepted bundles",
            ["kind"],
            registry=r,
        )
        self.seconds = Gauge(
            "segue_refresh_seconds", "Seconds that the last refresh took", ["kind"], registry=r
        )
        self.cpu_seconds = Counter(
            "segue_refresh_cpu_seconds", "Processor seconds of all refreshes", ["kind"], registry=r
        )

    def record(self, kind: str, outcome: Outcome) -> None:
        """Record the outcome of a refresh."""
        self.refreshes.labels(kind, "accepted" if outcome.accepted else "refused").inc()
        self.seconds.labels(kind).set(outcome.seconds)
        self.cpu_seconds.labels(kind).inc(outcome.cpu_s)
        self.learned.labels(kind).set(outcome.learned_ms / 1000)
        if outcome.accepted:
            self.new_songs.labels(kind).inc(outcome.new_songs)
        if outcome.drift is not None:
            self.cosine.labels(kind).set(outcome.drift.cosine)
        for name, rate in (("before", outcome.verdict.before), ("after", outcome.verdict.after)):
            if rate is not None:
                self.hit_rate.labels(kind, name).set(rate)

    def observe(self, fresh: FreshSessions) -> None:
        """Measure what is remembered."""
        state = fresh.state
        for name, count in (
            ("open", len(state.open)),
            ("fresh", len(state.fresh)),
            ("reservoir", len(state.reservoir)),
        ):
            self.sessions.labels(name).set(count)
        self.plays_since.set(state.plays)
