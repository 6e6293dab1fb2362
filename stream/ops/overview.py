"""The overview: do listeners get good lists, and fast?"""

from __future__ import annotations

from segue.stream.ops.panels import GREEN, ORANGE, RED, Query, Row, lines, stat

LATENCY = "segue_event_to_publish_seconds"
IN_TIME = '{le="1.0"}'  # the budget that alerts.yml holds lists to
BY_NO_MODEL = '{source=~"popularity|none"}'
NO_REFRESH = "only where `segue refresh` runs, and once it has refreshed"
NO_SHADOW = "only where workers have a bundle on trial"


def rate(name: str, labels: str = "", by: str = "") -> str:
    """Give what a counter gained a second, over all workers."""
    return f"sum{f' by ({by})' if by else ''} (rate({name}{labels}[$__rate_interval]))"


def quantile(q: float, name: str, labels: str = "", by: str = "") -> str:
    """Give a quantile of a histogram, over all workers."""
    groups = ", ".join(filter(None, ["le", by]))
    return f"histogram_quantile({q}, {rate(f'{name}_bucket', labels, groups)})"


def judged(name: str) -> str:
    """Give what each list earned a judged play, within the chosen window."""
    return (
        f"sum by (list) (rate({name}_total[$window])) "
        "/ on () group_left () sum(rate(segue_judged_plays_total[$window]))"
    )


GLANCE = Row(
    "At a glance",
    (
        stat("Plays a second", "Is anybody listening?", Query(rate("segue_plays_total"))),
        stat(
            "Lists within 1 s",
            "Are lists there before the listener decides? The budget is 99 %.",
            Query(f"{rate(LATENCY + '_bucket', IN_TIME)} / {rate(LATENCY + '_count')}"),
            unit="percentunit",
            steps=((None, RED), (0.95, ORANGE), (0.99, GREEN)),
        ),
        stat(
            "Plays that wait",
            "Records in the log that no worker has handled.",
            Query("sum(segue_consumer_lag_records)"),
            steps=((None, GREEN), (1_000, ORANGE), (10_000, RED)),
        ),
        stat(
            "Hits above popularity",
            "Does the model earn its keep? Live hit rate @20 as a multiple of popularity's.",
            Query(
                'sum(increase(segue_hits_at_20_total{list="segue"}[$window])) '
                '/ (sum(increase(segue_hits_at_20_total{list="popularity"}[$window])) > 0)'
            ),
            unit="none",
            steps=((None, RED), (1, ORANGE), (1.2, GREEN)),
        ),
        stat(
            "Model learned up to",
            "How old is what the model knows?",
            Query("min(segue_model_learned_seconds) * 1000"),
            unit="dateTimeFromNow",
        ),
        stat(
            "Alerts",
            "What should somebody look at? docs/runbook.md has a section for each.",
            Query('count(ALERTS{alertstate="firing"}) or vector(0)'),
            steps=((None, GREEN), (1, RED)),
        ),
    ),
)

FAST = Row(
    "Fast?",
    (
        lines(
            "From play to list",
            "How long does a listener wait, from the play's record to the delivery of its list?",
            Query(quantile(0.5, LATENCY), "p50"),
            Query(quantile(0.99, LATENCY), "p99"),
            unit="s",
        ),
        lines(
            "Plays and lists",
            "Does every play get its list?",
            Query(rate("segue_plays_total"), "plays"),
            Query(rate("segue_recommendations_total"), "lists"),
            Query(rate("segue_plays_repeated_total"), "delivered again"),
            unit="ops",
        ),
        lines(
            "Lag by partition",
            "Do plays wait, and where?",
            Query("sum by (partition) (segue_consumer_lag_records)", "{{partition}}"),
        ),
    ),
)

GOOD = Row(
    "Good?",
    (
        lines(
            "Hit rate @20",
            "How often is the next song among the first 20, and would popular songs do as well?",
            Query(judged("segue_hits_at_20"), "{{list}}"),
            unit="percentunit",
        ),
        lines(
            "MRR @20",
            "How high does it stand in the list?",
            Query(judged("segue_reciprocal_ranks_at_20"), "{{list}}"),
            unit="percentunit",
        ),
        lines(
            "Coverage",
            "How many different songs do a worker's last 10,000 lists show, of those its model "
            "was trained on?",
            Query("segue_covered_songs / (segue_model_songs > 0)", "{{instance}}"),
            unit="percentunit",
        ),
        lines(
            "Lists by source",
            "Who put the first song forward?",
            Query(rate("segue_recommendations_total", by="source"), "{{source}}"),
            unit="ops",
            stacked=True,
        ),
        lines(
            "Fallbacks",
            "Which share of lists could no model make, so that they are popular songs or empty?",
            Query(
                f"{rate('segue_recommendations_total', BY_NO_MODEL)} "
                f"/ {rate('segue_recommendations_total')}",
                "popular or empty",
            ),
            unit="percentunit",
            max_value=1,
        ),
        lines(
            "Plays of unknown songs",
            "Has the world moved on? The share of plays of songs that the model was not "
            "trained on.",
            Query(
                f"{rate('segue_plays_of_unknown_songs_total')} / {rate('segue_plays_total')}",
                "unknown",
            ),
            unit="percentunit",
        ),
    ),
)

FRESH = Row(
    "Fresh and sound?",
    (
        lines(
            "Workers by model",
            "Do all workers make lists by the same model?",
            Query("count by (version) (segue_model_info)", "{{version}}"),
            stacked=True,
        ),
        lines(
            "Age of the model",
            "How long ago were the last plays that it learned from, and since when does it serve?",
            Query("time() - max(segue_model_learned_seconds)", "learned"),
            Query("time() - max(segue_model_since_seconds)", "in service"),
            unit="s",
        ),
        lines(
            "Rejected records",
            "What arrives that is no play?",
            Query(rate("segue_rejected_total", by="reason"), "{{reason}}"),
            unit="ops",
            stacked=True,
        ),
        lines(
            "Refreshes",
            "What did the guard rails say, within the chosen window?",
            Query(
                "sum by (kind, outcome) (increase(segue_refreshes_total[$window]))",
                "{{kind}} {{outcome}}",
            ),
        ),
        lines(
            "Refreshed against before",
            "Is the refreshed bundle at least as good, on the newest sessions held back?",
            Query("segue_refresh_hit_rate_at_20", "{{kind}} {{bundle}}", rare=NO_REFRESH),
            unit="percentunit",
        ),
        lines(
            "Drift",
            "Do frequent songs' vectors still mean what they meant? 1: not moved at all.",
            Query("segue_refresh_cosine", "{{kind}}", rare=NO_REFRESH),
            unit="none",
            max_value=1,
        ),
    ),
)

ROWS = (GLANCE, FAST, GOOD, FRESH)
