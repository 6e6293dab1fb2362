"""A run on one page, for eyes and for machines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from segue.offline.chaos.runner import Result


def document(result: Result) -> dict[str, Any]:
    """Return everything as JSON takes it."""
    ends = Counter(_end(each.status) for each in result.exits)
    return {
        "seed": result.config.seed,
        "seconds": round(result.seconds, 1),
        "seconds_of_faults": result.config.seconds,
        "seconds_until_all_answered": round(result.settled_s, 1),
        "bundles": result.config.kind,
        "workers": result.config.workers,
        "plays_per_s": result.config.rate,
        "share_forgotten": result.config.forget,
        "broker": result.config.bootstrap or "embedded",
        "faults": dict(sorted(result.injected.done.items())),
        "faults_not_possible_here": sorted(result.injected.not_here),
        "groups_mended": result.groups_mended,
        "process_starts": result.starts,
        "process_ends": dict(sorted(ends.items())),
        "rebalances": result.rebalances,
        "memberships_of_passers_by": result.memberships,
        "checked": dict(result.findings.counts),
        "violations": dict(result.findings.violations),
        "examples": dict(result.findings.examples),
    }


def markdown(report: Mapping[str, Any]) -> str:
    """Write the document of a run as Markdown."""
    violations = sum(report["violations"].values())
    lines = [
        f"# Faults: {sum(report['faults'].values())} injected, {violations} violations",
        "",
        f"Seed {report['seed']}, {report['bundles']} bundles, {report['workers']} workers, "
        f"{report['plays_per_s']:g} plays/s, "
        f"{report['broker']} broker, {report['seconds']:.0f} s. After the last fault every "
        f"play was answered within {report['seconds_until_all_answered']:.0f} s.",
        "",
        *_table("fault", report["faults"]),
        f"{report['rebalances']:,} rebalances; passers-by were members and left "
        f"{report['memberships_of_passers_by']:,} times.",
        "",
        *_mended(report["groups_mended"]),
        *_not_here(report["faults_not_possible_here"]),
        *_table("checked", report["checked"]),
        *_table("ends of processes (status)", report["process_ends"]),
        *_table("violation", report["violations"] or {"none": 0}),
    ]
    for kind, examples in report["examples"].items():
        lines += [f"**{kind}**", "", *(f"- `{each}`" for each in examples), ""]
    return "\n".join(lines)


def _not_here(kinds: Sequence[str]) -> list[str]:
    return [f"Not possible here: {', '.join(kinds)}.", ""] if kinds else []


def _mended(times: int) -> list[str]:
    if not times:
        return []
    what = "The embedded broker's group stood still and was made anew"
    return [f"{what} {times} times (docs/kafka-tests.md).", ""]


def _table(name: str, counts: Mapping[str, int]) -> list[str]:
    rows = [f"| {key} | {count:,} |" for key, count in counts.items()]
    return [f"| {name} | times |", "|---|---|", *rows, ""]


def _end(status: int) -> str:
    return f"signal {-status}" if status < 0 else str(status)
