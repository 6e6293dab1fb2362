"""The deep page: each stage of a batch, and each process."""

from __future__ import annotations

from segue.stream.ops.overview import NO_REFRESH, NO_SHADOW
from segue.stream.ops.panels import GREEN, ORANGE, RED, Panel, Query, Row, lines

HERE = '{instance=~"$instance"}'
EACH = "{{instance}}"


def rate(name: str, by: str = "instance") -> str:
    """Give what a counter gained a second, of the chosen processes."""
    return f"sum by ({by}) (rate({name}{HERE}[$__rate_interval]))"


def quantile(q: float, name: str, by: str) -> str:
    """Give a quantile of a histogram, of the chosen processes."""
    return f"histogram_quantile({q}, {rate(f'{name}_bucket', f'le, {by}')})"


def gauge(name: str, by: str = "instance") -> str:
    """Give a gauge of the chosen processes."""
    return f"sum by ({by}) ({name}{HERE})"


STAGES = Row(
    "Stages of a batch",
    (
        lines(
            "Seconds of a stage, p50",
            "Where does a usual batch spend its time?",
            Query(quantile(0.5, "segue_stage_seconds", "stage"), "{{stage}}"),
            unit="s",
        ),
        lines(
            "Seconds of a stage, p99",
            "Where does a slow batch spend its time?",
            Query(quantile(0.99, "segue_stage_seconds", "stage"), "{{stage}}"),
            unit="s",
        ),
        lines(
            "Seconds a play, by stage",
            "What does a play cost?",
            Query(
                f"{rate('segue_stage_seconds_sum', 'stage')} "
                f"/ on () group_left () sum(rate(segue_batch_plays_sum{HERE}[$__rate_interval]))",
                "{{stage}}",
            ),
            unit="s",
            stacked=True,
        ),
        lines(
            "Busy share of a worker",
            "How near is a worker to its limit? At 1, stages follow each other without a pause.",
            Query(rate("segue_stage_seconds_sum"), EACH),
            unit="percentunit",
        ),
        lines(
            "Records of a batch",
            "Do batches grow? They do where a worker falls behind, up to SEGUE_BATCH_MAX.",
            Query(quantile(0.5, "segue_batch_plays", "instance"), f"{EACH} p50"),
            Query(quantile(0.99, "segue_batch_plays", "instance"), f"{EACH} p99"),
        ),
        lines(
            "From play to list, p99 by worker",
            "Is one worker slower than the others?",
            Query(quantile(0.99, "segue_event_to_publish_seconds", "instance"), EACH),
            unit="s",
        ),
    ),
)

PLAYS = Row(
    "Plays and partitions",
    (
        lines(
            "Plays by worker",
            "Do workers share the load evenly?",
            Query(rate("segue_plays_total"), EACH),
            unit="ops",
            stacked=True,
        ),
        lines(
            "Partitions assigned",
            "Has every partition a worker? A partition without one tells of no lag.",
            Query(gauge("segue_partitions_assigned"), EACH),
            Query("max(segue_topic_partitions)", "there are"),
        ),
        lines(
            "Lag by worker",
            "Whose plays wait?",
            Query(gauge("segue_consumer_lag_records"), EACH),
        ),
        lines(
            "Read back from the log",
            "Is a worker rebuilding histories, after a move of partitions or a lost disk?",
            Query(rate("segue_plays_rebuilt_total"), EACH),
            unit="ops",
        ),
        lines(
            "Delivered again",
            "How many plays came twice? After a kill, about a second's worth.",
            Query(rate("segue_plays_repeated_total"), EACH),
            unit="ops",
        ),
        lines(
            "Judged plays",
            "How many plays does the live hit rate stand on?",
            Query(rate("segue_judged_plays_total"), EACH),
            unit="ops",
        ),
    ),
)

STORE = Row(
    "Histories",
    (
        lines(
            "Fill of the store",
            "How near is the store to SEGUE_STORE_MAX_SIZE_MB?",
            Query(
                f"segue_store_used_bytes{HERE} / (segue_store_max_bytes{HERE} > 0)",
                EACH,
            ),
            unit="percentunit",
            steps=((None, GREEN), (0.7, ORANGE), (0.85, RED)),
            max_value=1,
            size=(6, 8),
        ),
        lines(
            "Bytes of the store",
            "How large is it, and how much has it reserved?",
            Query(gauge("segue_store_used_bytes"), f"{EACH} used"),
            Query(gauge("segue_store_size_bytes"), f"{EACH} reserved"),
            unit="bytes",
            size=(6, 8),
        ),
        lines(
            "Listeners",
            "Of how many does a worker know a history?",
            Query(gauge("segue_store_users"), EACH),
            size=(6, 8),
        ),
        lines(
            "Forgotten on request",
            "How many listeners were forgotten as they asked, within the chosen window?",
            Query(f"sum (increase(segue_forgotten_total{HERE}[$window]))", "listeners"),
            size=(6, 8),
        ),
    ),
)

MODELS = Row(
    "Models, rules and songs",
    (
        lines(
            "Swaps and refusals",
            "What came of announced bundles, within the chosen window?",
            Query(f"sum (increase(segue_model_swaps_total{HERE}[$window]))", "swapped in"),
            Query(
                f"sum by (reason) (increase(segue_models_refused_total{HERE}[$window]))",
                "refused: {{reason}}",
            ),
        ),
        lines(
            "Seconds to load a model",
            "How long does a new bundle take to serve? 0 before the first one.",
            Query(gauge("segue_model_load_seconds"), EACH),
            unit="s",
        ),
        lines(
            "Songs known",
            "How many songs was the model trained on, and of how many are there details?",
            Query(gauge("segue_model_songs"), f"{EACH} model"),
            Query(gauge("segue_catalogue_songs"), f"{EACH} catalogue"),
        ),
        lines(
            "Rules and songs taken up",
            "Were changes of the rules taken or refused, and records of songs refused?",
            Query(
                f"sum by (result) (increase(segue_rules_reloads_total{HERE}[$window]))",
                "rules {{result}}",
            ),
            Query(f"sum (increase(segue_songs_refused_total{HERE}[$window]))", "songs refused"),
        ),
        lines(
            "Trial: who had the next song",
            "Is the bundle on trial better? `segue compare` says whether by more than chance.",
            Query(
                f"sum by (outcome) (rate(segue_shadow_pairs_total{HERE}[$window]))",
                "{{outcome}}",
                rare=NO_SHADOW,
            ),
            unit="ops",
            stacked=True,
        ),
        lines(
            "Trial: left out",
            "Does the bundle on trial run, and how many plays did it leave out as lists were late?",
            Query(gauge("segue_shadow_running"), f"{EACH} runs", rare=NO_SHADOW),
            Query(rate("segue_shadow_plays_skipped_total"), f"{EACH} left out", rare=NO_SHADOW),
        ),
    ),
)

REFRESH = Row(
    "Refresh",
    (
        lines(
            "Plays since the last refresh",
            "How much is there to learn?",
            Query("sum(segue_refresh_plays_since)", "plays", rare=NO_REFRESH),
        ),
        lines(
            "Sessions remembered",
            "Open ones, ended ones to learn from, and old ones to mix in.",
            Query("sum by (state) (segue_refresh_sessions)", "{{state}}", rare=NO_REFRESH),
        ),
        lines(
            "Late by",
            "How long has a refresh been due, or run?",
            Query("max(segue_refresh_late_seconds)", "late", rare=NO_REFRESH),
            unit="s",
        ),
        lines(
            "Seconds of a refresh",
            "What does a refresh cost?",
            Query("segue_refresh_seconds", "{{kind}}", rare=NO_REFRESH),
            Query(
                "sum by (kind) (rate(segue_refresh_cpu_seconds_total[$window]))",
                "{{kind}} processors",
                rare=NO_REFRESH,
            ),
            unit="s",
        ),
        lines(
            "New songs",
            "How many songs did accepted bundles learn, within the chosen window?",
            Query(
                "sum by (kind) (increase(segue_refresh_new_songs_total[$window]))",
                "{{kind}}",
                rare=NO_REFRESH,
            ),
        ),
        lines(
            "Age of what was learned",
            "Up to when has the bundle in force learned?",
            Query("time() - segue_refresh_learned_seconds", "{{kind}}", rare=NO_REFRESH),
            unit="s",
        ),
    ),
)

PROCESSES = Row(
    "Processes",
    (
        lines(
            "Processors",
            "How many cores does each process keep busy?",
            Query(rate("process_cpu_seconds_total"), EACH),
            unit="none",
        ),
        lines(
            "Memory",
            "Does resident memory grow?",
            Query(gauge("process_resident_memory_bytes"), EACH),
            unit="bytes",
        ),
        lines(
            "Open files",
            "Do files or sockets leak?",
            Query(gauge("process_open_fds"), EACH),
        ),
        lines(
            "Garbage collections",
            "Does Python look for cycles often? Workers should, rarely.",
            Query(rate("python_gc_collections_total", "instance, generation"), "{{generation}}"),
            unit="ops",
        ),
        lines(
            "Up",
            "Does Prometheus reach each process?",
            Query('up{job=~"segue-.*"}', "{{job}} {{instance}}"),
            max_value=1,
        ),
        Panel(
            "Which model where",
            "The bundle that makes each worker's lists.",
            (Query(f"segue_model_info{HERE}"),),
            kind="table",
        ),
    ),
)

ROWS = (STAGES, PLAYS, STORE, MODELS, REFRESH, PROCESSES)
