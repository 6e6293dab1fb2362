"""`python -m segue.offline.chaos`: break a running system on purpose, and check what it did."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import click

from segue.models.errors import SegueError
from segue.offline.chaos.producer import SHARE_FORGOTTEN


@click.command()
@click.option("--seconds", type=click.FloatRange(20), default=240.0, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True, help="Of faults and plays.")
@click.option("--workers", type=click.IntRange(1, 16), default=3, show_default=True)
@click.option("--rate", type=click.FloatRange(1), default=100.0, help="Plays a second.")
@click.option("--bootstrap", help="Brokers to use, host:port; left out: an embedded one.")
@click.option("--durable", is_flag=True, help="Embedded broker: keep its log, and kill it, too.")
@click.option("--restart-broker", help="Shell command that restarts those brokers.")
@click.option("--kind", type=click.Choice(["gru", "hybrid"]), default="gru", show_default=True)
@click.option(
    "--forget",
    type=click.FloatRange(0, 0.5),
    default=SHARE_FORGOTTEN,
    show_default=True,
    help="Share of records that ask to forget a listener; 0: every repeated list is compared.",
)
@click.option("--only", multiple=True, help="A kind of fault; several times for several.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("segue-chaos"),
    show_default=True,
    help="Directory of logs, stores and the report; an earlier run's is replaced.",
)
def main(
    seconds: float,
    seed: int,
    workers: int,
    rate: float,
    bootstrap: str | None,
    durable: bool,
    restart_broker: str | None,
    kind: str,
    forget: float,
    only: tuple[str, ...],
    out: Path,
) -> None:
    """Inject faults into a broker, workers and a producer, and check every play and list.

    The schedule of faults and the plays depend on the seed alone; when exactly a fault meets
    a process is up to the machine. Exit status 1: something that must hold did not.

    \b
    Examples:
      python -m segue.offline.chaos
      python -m segue.offline.chaos --seconds 3600 --seed 7
      python -m segue.offline.chaos --kind hybrid --seed 8 --rate 40
      python -m segue.offline.chaos --kind hybrid --forget 0 --only "lost group" --only kill
      python -m segue.offline.chaos --durable --rate 20 --only "kill broker"
      python -m segue.offline.chaos --only kill --only "torn store"
      python -m segue.offline.chaos --bootstrap kafka:9092 --restart-broker "docker restart kafka"
    """
    from segue.offline.chaos.cluster import ChaosConfig
    from segue.offline.chaos.faults import FAULTS
    from segue.offline.chaos.report import blocks, document
    from segue.offline.chaos.runner import run_chaos
    from segue.offline.reporting.document import markdown, write_markdown
    from segue.offline.reporting.json_file import write_json
    from segue.offline.reporting.progress import steps_progress

    unknown = {*only} - {*FAULTS}
    if unknown:
        raise click.UsageError(f"no fault {sorted(unknown)}: there are {', '.join(FAULTS)}")
    logging.getLogger("kafka").setLevel(logging.ERROR)
    config = ChaosConfig(
        out, seconds, seed, workers, rate, bootstrap, restart_broker, durable, kind, forget
    )
    try:
        with steps_progress() as show:
            report = document(run_chaos(config, only or tuple(FAULTS), show))
    except SegueError as error:
        raise click.ClickException(str(error)) from error
    write_json(out / "report.json", report)
    write_markdown(out, list(blocks(report)))
    click.echo(markdown(blocks(report)))
    if report["violations"]:
        click.echo(f"Violations. To repeat: --seed {seed} --seconds {seconds:g}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
