"""`segue broker`: the embedded broker in the foreground."""

from __future__ import annotations

import click

from segue.offline.cli import options as opt
from segue.offline.cli.output import interrupt_on_sigterm


@click.command()
@opt.address(
    9092,
    "Address to listen on, and the one that clients connect to.",
    "Port to listen on; 0 chooses a free one.",
)
@click.option(
    "--topics/--no-topics", default=True, show_default=True, help="Create the topics in it."
)
def broker(host: str, port: int, topics: bool) -> None:
    """Run the embedded broker until Ctrl-C.

    It keeps everything in memory: when it stops, topics, plays and recommendations are gone.
    For anything that must last, run Apache Kafka.

    \b
    Examples:
      segue broker
      segue broker --port 19092 --no-topics
    """
    from segue.stream.kafka.embedded_broker import BrokerError, EmbeddedBroker
    from segue.stream.kafka.topics import ensure_topics

    interrupt_on_sigterm()
    try:
        with EmbeddedBroker(host, port) as running:
            if topics:
                ensure_topics(opt.load_settings(kafka_bootstrap=running.bootstrap))
            click.echo(f"Kafka protocol on {running.bootstrap}, in memory only. Elsewhere:")
            click.echo(f"  export SEGUE_KAFKA_BOOTSTRAP={running.bootstrap}")
            click.echo("Ctrl-C stops it and drops everything in it.")
            status = running.wait()
            raise BrokerError(f"the embedded broker ended by itself with status {status}")
    except KeyboardInterrupt:
        click.echo("Stopped.")
