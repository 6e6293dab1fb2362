"""Tables of the documents that are written from code: `python -m docs.tables`, or `make docs`.

A table stands in a page between `<!-- table: NAME -->` and `<!-- end -->`.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import click
from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from segue.models.hybrid.config import HybridConfig
from segue.models.hybrid.retrievers import RETRIEVERS, limit_of
from segue.models.ranking.schema import FEATURE_GROUPS
from segue.models.registry import KINDS
from segue.offline.cli import COMMANDS, main
from segue.offline.datasets.readers import formats_table
from segue.offline.training.baselines import BASELINES
from segue.stream.config.settings import Settings
from segue.stream.kafka.topics import plan_topics
from segue.stream.observability.metrics import Metrics, ShadowMetrics
from segue.stream.refresh.metrics import RefreshMetrics

ROOT = Path(__file__).parents[1]
MARKED = re.compile(r"(<!-- table: ([a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
BOUNDS = {"ge": "≥ {}", "gt": "> {}", "le": "≤ {}", "lt": "< {}"}


def table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Return a Markdown table; bars in cells are escaped."""
    lines = [header, ("---",) * len(header), *rows]
    return "".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines
    )


def settings() -> str:
    """Every setting with its default, its bounds and its meaning."""
    rows = []
    for name, field in Settings.model_fields.items():
        default = "none" if field.default is None else f"`{str(field.default).lower()}`"
        if not isinstance(field.default, bool) and field.default is not None:
            default = f"`{field.default}`"
        if SecretStr.__name__ in str(field.annotation):
            default = "none (secret)"
        bounds = [
            text.format(f"{getattr(one, key):,}")
            for one in field.metadata
            for key, text in BOUNDS.items()
            if getattr(one, key, None) is not None
        ]
        rows.append((f"`{name}`", default, ", ".join(bounds), field.description or ""))
    return table(("setting", "default", "bounds", "meaning"), rows)


def commands() -> list[tuple[str, click.Command]]:
    """Return every command with its words, groups before their members."""
    found: list[tuple[str, click.Command]] = []
    for name in COMMANDS:
        command = main.get_command(click.Context(main), name)
        assert command is not None
        found.append((name, command))
        if isinstance(command, click.Group):
            inner = click.Context(command)
            names = command.list_commands(inner)
            found += [(f"{name} {one}", command.get_command(inner, one)) for one in names]
    return found


def command_summaries() -> str:
    """Every command with its one-line summary, linked to its options below."""
    rows = (
        (f"[`segue {words}`](#segue-{words.replace(' ', '-')})", command.get_short_help_str(200))
        for words, command in commands()
    )
    return table(("command", "what it does"), rows)


def command_options() -> str:
    """A section for each command: its usage and its arguments and options."""
    return "\n".join(_section(words, command) for words, command in commands())


def _section(words: str, command: click.Command) -> str:
    context = click.Context(command, info_name=f"segue {words}")
    usage = " ".join(command.get_usage(context).split()[1:])
    lines = [f"## segue {words}\n", f"`{usage}`\n", _help(command.help or "")]
    rows = [
        (", ".join(f"`{name}`" for name in option.opts + option.secondary_opts), *_option(option))
        for option in command.params
        if isinstance(option, click.Option) and not option.hidden and "--help" not in option.opts
    ]
    if rows:
        lines.append(table(("option", "default", "meaning"), rows))
    return "\n".join(lines) + ("" if rows else "\n")


def _help(text: str) -> str:
    """Return a command's help as Markdown: paragraphs, and its examples as a block."""
    parts = []
    for part in re.split(r"\n\s*\n", inspect.cleandoc(text).replace("\f", "\n\n")):
        lines = [line for line in part.splitlines() if line.strip() != "\b"]
        if lines[0].strip() == "Examples:":
            examples = "\n".join(line.strip() for line in lines[1:])
            parts.append(f"```console\n{examples}\n```\n")
        elif "\b" in part:
            parts.append("```\n" + "\n".join(lines) + "\n```\n")
        else:
            parts.append(" ".join(line.strip() for line in lines) + "\n")
    return "\n".join(parts)


def _option(option: click.Option) -> tuple[str, str]:
    info = option.to_info_dict()
    default = info["default"]
    if info["required"]:
        shown = "required"
    elif default is None or callable(default) or info["is_flag"] or default in ((), ""):
        shown = ""
    else:
        shown = f"`{default}`"
    choices = option.type.choices if isinstance(option.type, click.Choice) else ()
    text = " ".join((option.help or "").split())
    if choices:
        text = f"{text} One of {', '.join(f'`{one}`' for one in choices)}.".strip()
    return shown if "UNSET" not in shown.upper() else "", text


def worker_metrics() -> str:
    """Every metric of a worker, a shadow model included."""
    metrics = Metrics()
    ShadowMetrics(metrics)
    return _metrics(metrics.registry)


def refresh_metrics() -> str:
    """Every metric of a refresh process."""
    return _metrics(RefreshMetrics().registry)


def _metrics(registry: CollectorRegistry) -> str:
    rows = []
    for collector in registry._collector_to_names:
        name = getattr(collector, "_name", "")
        if not name.startswith("segue_"):
            continue  # of the process and of Python, by prometheus-client
        kind = str(collector._type)
        full = name + {"counter": "_total", "info": "_info"}.get(kind, "")
        labels = ", ".join(f"`{label}`" for label in collector._labelnames)
        rows.append((f"`{full}`", kind, labels, collector._documentation))
    return table(("metric", "type", "labels", "meaning"), rows)


SCHEMAS = {
    "topic_plays": ("play", "erasure"),
    "topic_recommendations": ("recommendations",),
    "topic_rejected": ("rejected",),
    "topic_songs": ("song",),
    "topic_models": ("model",),
}


def topics() -> str:
    """The topics as the default settings plan them, with their schemas."""
    plans = {plan.name: plan for plan in plan_topics(Settings.model_construct())}
    rows = []
    for setting, schemas in SCHEMAS.items():
        name = Settings.model_fields[setting].default
        plan = plans[name]
        policy = plan.cleanup_policy
        days = getattr(plan, "retention_days", None)
        kept = f"{policy}, {days:g} days" if policy == "delete" and days else policy
        links = ", ".join(f"[{one}](../stream/schemas/{one}.json)" for one in schemas)
        rows.append((f"`{name}`", f"`{setting}`", str(plan.partitions), kept, links))
    return table(("topic", "setting", "partitions", "cleanup", "schemas"), rows)


def message_fields() -> str:
    """The fields of every value, from its JSON Schema."""
    parts = []
    for name in (one for names in SCHEMAS.values() for one in names):
        schema = json.loads((ROOT / "stream" / "schemas" / f"{name}.json").read_text("utf-8"))
        rows = list(_fields(schema, schema.get("$defs", {})))
        if rows:
            fields = table(("field", "type", "required", "meaning"), rows)
            parts.append(f"### {schema['title']}\n\n{fields}")
        else:
            parts.append(f"### {schema['title']}\n\n{schema['description']}\n")
    return "\n".join(parts)


def _fields(schema: dict, definitions: dict, prefix: str = "") -> Iterator[tuple[str, ...]]:
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        whole = field | definitions.get(str(field.get("$ref", "")).rpartition("/")[2], {})
        kinds = whole.get("type") or [one.get("type", "") for one in whole.get("oneOf", ())]
        if "const" in whole:
            kinds = json.dumps(whole["const"])
        text = " or ".join([kinds] if isinstance(kinds, str) else [one for one in kinds if one])
        yield (
            f"`{prefix}{name}`",
            text,
            "yes" if name in required else "",
            field.get("description", whole.get("description", "")),
        )
        inner = whole.get("items", whole) if whole.get("type") == "array" else whole
        inner = inner | definitions.get(str(inner.get("$ref", "")).rpartition("/")[2], {})
        if inner.get("properties"):
            mark = "[]." if whole.get("type") == "array" else "."
            yield from _fields(inner, definitions, f"{prefix}{name}{mark}")


def retrievers() -> str:
    """Every retriever that a hybrid may have."""
    default = HybridConfig()
    rows = (
        (f"`{name}`", " ".join(entry.description.split()), str(limit_of(name, default)))
        for name, entry in RETRIEVERS.items()
    )
    return table(("retriever", "candidates", "at most"), rows)


def features() -> str:
    """Every group of the ranker's features, without the ranks and shares of retrievers."""
    rows = (
        (
            f"`{group.name}`",
            ", ".join(f"`{name}`" for name in (*group.columns, *group.context_columns)),
            group.description,
        )
        for group in FEATURE_GROUPS.values()
    )
    return table(("group", "features", "meaning"), rows)


def baselines() -> str:
    """Every baseline that `segue evaluate` fits."""
    rows = ((f"`{one.name}`", one.description) for one in BASELINES.values())
    return table(("baseline", "next songs"), rows)


def bundle_kinds() -> str:
    """Every kind of bundle: what trains it, what it is, and whether it serves."""
    rows = (
        (f"`{name}`", f"`segue train {name}`", kind.summary, "yes" if kind.recommender else "no")
        for name, kind in KINDS.items()
    )
    return table(("kind", "trained by", "what it is", "serves lists"), rows)


TABLES: dict[str, Callable[[], str]] = {
    "settings": settings,
    "bundle-kinds": bundle_kinds,
    "commands": command_summaries,
    "command-options": command_options,
    "worker-metrics": worker_metrics,
    "refresh-metrics": refresh_metrics,
    "topics": topics,
    "message-fields": message_fields,
    "retrievers": retrievers,
    "features": features,
    "baselines": baselines,
    "formats": lambda: formats_table() + "\n",
}


def written(page: str) -> str:
    """Return a page with its tables written anew. KeyError where it names one that is not here."""
    return MARKED.sub(lambda found: f"{found[1]}\n{TABLES[found[2]]()}\n{found[3]}", page)


def pages() -> list[Path]:
    """Return the pages that have tables."""
    found = sorted(ROOT.glob("docs/**/*.md"))
    return [path for path in found if MARKED.search(path.read_text("utf-8"))]


if __name__ == "__main__":
    for path in pages():
        path.write_text(written(path.read_text("utf-8")), "utf-8")
