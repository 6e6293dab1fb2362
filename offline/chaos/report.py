"""The report of a run, as JSON and as a document."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from segue.offline.chaos.runner import Result
from segue.offline.reporting.document import Block, Heading, Paragraph, Table


def document(result: Result) -> dict[str, Any]:
    """Return the report as JSON values."""
    statuses = [each.status for each in result.exits]
    ends = Counter(f"signal {-one}" if one < 0 else str(one) for one in statuses)
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
        "group_memberships": result.memberships,
        "checked": dict(result.findings.counts),
        "violations": dict(result.findings.violations),
        "examples": dict(result.findings.examples),
    }


def blocks(report: Mapping[str, Any]) -> Iterator[Block]:
    """Render the report of a run."""
    faults, violations = sum(report["faults"].values()), sum(report["violations"].values())
    yield Heading(f"Faults: {faults} injected, {violations} violations", 1)
    yield Paragraph(
        f"Seed {report['seed']}, {report['bundles']} bundles, {report['workers']} workers, "
        f"{report['plays_per_s']:g} plays/s, "
        f"{report['broker']} broker, {report['seconds']:.0f} s. After the last fault every "
        f"play was answered within {report['seconds_until_all_answered']:.0f} s. "
        f"{report['rebalances']:,} rebalances; {report['group_memberships']:,} memberships of "
        "processes that join and leave."
    )
    if report["groups_mended"]:
        yield Paragraph(
            "The embedded broker's group stood still and was made anew "
            f"{report['groups_mended']} times (docs/kafka-tests.md)."
        )
    if report["faults_not_possible_here"]:
        yield Paragraph(f"Not possible here: {', '.join(report['faults_not_possible_here'])}.")
    for name, counts in (
        ("fault", report["faults"]),
        ("checked", report["checked"]),
        ("ends of processes (status)", report["process_ends"]),
        ("violation", report["violations"] or {"none": 0}),
    ):
        yield Table([name, "times"], [[key, f"{count:,}"] for key, count in counts.items()])
    for kind, examples in report["examples"].items():
        yield Heading(kind)
        yield Paragraph("\n".join(f"- `{each}`" for each in examples))
