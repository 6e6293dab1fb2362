"""The options that two or more commands share, each declared once.

An option is a decorator. `group(...)` joins several into one, in the order of the help text.
The module imports nothing heavy, so that `--help` stays fast.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from segue.stream.config.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])
Option = Callable[[F], F]

EXISTING = click.Path(exists=True, path_type=Path)
EXISTING_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
EXISTING_DIRECTORY = click.Path(exists=True, file_okay=False, path_type=Path)
NEW_FILE = click.Path(dir_okay=False, path_type=Path)
NEW_DIRECTORY = click.Path(file_okay=False, path_type=Path)

COUNT = click.IntRange(min=1)
COUNT_OR_NONE = click.IntRange(min=0)
POSITIVE = click.FloatRange(min=0, min_open=True)
PORT = click.IntRange(0, 65_535)


def group(*decorators: Callable[[Any], Any]) -> Callable[[F], F]:
    """Join options into one decorator; the first is listed first in the help text."""

    def decorate(command: F) -> F:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate


def number(
    option: str,
    default: float | None,
    help: str | None = None,
    type: click.ParamType = COUNT,
    name: str | None = None,
) -> Callable[[F], F]:
    """Accept a number, of at least 1 unless `type` has other limits."""
    names = (option,) if name is None else (option, name)
    shown = default is not None
    return click.option(*names, type=type, default=default, show_default=shown, help=help)


def choice(
    option: str, choices: Sequence[str], default: str, help: str, name: str | None = None
) -> Callable[[F], F]:
    """Accept one of several words."""
    names = (option,) if name is None else (option, name)
    of = click.Choice(choices)
    return click.option(*names, type=of, default=default, show_default=True, help=help)


def load_settings(**given: Any) -> Settings:
    """Load the settings; options that were given (not None) override them."""
    from segue.stream.config import settings

    return settings.load_settings(
        **{name: value for name, value in given.items() if value is not None}
    )


# Play logs -------------------------------------------------------------------------------------

FORMAT = click.option("--format", "format_name", help="Its format. Detected by default.")


def play_log(
    help: str = "The play log.", *, required: bool = True, file: str = "--plays"
) -> Callable[[F], F]:
    """Read a play log: `plays_file` and `format_name`."""
    return group(
        click.option(file, "plays_file", type=EXISTING, required=required, help=help), FORMAT
    )


SESSION_GAP = number(
    "--session-gap-s",
    1800.0,
    "Silence that ends a session, in seconds, for logs without sessions.",
    POSITIVE,
)


def limit(help: str) -> Callable[[F], F]:
    """Stop after so many: `limit`."""
    return click.option("--limit", type=COUNT, help=help)


def world(help: str) -> Callable[[F], F]:
    """Use a synthetic play log: `world`, its seed."""
    return click.option("--world", type=int, metavar="SEED", help=help)


# Bundles ---------------------------------------------------------------------------------------


def bundle(
    help: str,
    *,
    name: str = "bundle",
    option: str = "--bundle",
    required: bool = False,
    exists: bool = True,
    **more: Any,
) -> Callable[[F], F]:
    """Read a bundle: a directory under `name`.

    exists=False leaves a missing directory to `read_bundle`, whose error names the remedy.
    """
    path = EXISTING_DIRECTORY if exists else click.Path(path_type=Path)
    return click.option(option, name, type=path, required=required, help=help, **more)


def served_bundle(help: str) -> Callable[[F], F]:
    """Read the one bundle that a command is about: `directory`."""
    return bundle(help, name="directory", required=True, exists=False)


def bundle_root(help: str, *, exists: bool = False, name: str = "bundle_root") -> Callable[[F], F]:
    """Find bundles below a directory."""
    path = EXISTING_DIRECTORY if exists else NEW_DIRECTORY
    return click.option("--bundle-root", name, type=path, help=help)


BUNDLE_OUTPUT = group(
    click.option(
        "--out",
        type=click.Path(path_type=Path),
        required=True,
        help="Directory of the new bundle.",
    ),
    click.option("--overwrite", is_flag=True, help="Replace the bundle in that directory."),
)

# Figures and reports ---------------------------------------------------------------------------


def json_file(help: str = "Write the figures to this file.") -> Callable[[F], F]:
    """Write JSON: `json_file`."""
    return click.option("--json", "json_file", type=NEW_FILE, help=help)


def report(help: str, *, required: bool = False, **more: Any) -> Callable[[F], F]:
    """Write a report: `out`, a directory."""
    return click.option("--out", type=NEW_DIRECTORY, required=required, help=help, **more)


def seed(default: int = 0, help: str | None = None) -> Callable[[F], F]:
    """Seed everything that is drawn at random: `seed`."""
    return number("--seed", default, help, COUNT_OR_NONE)


# Serving ---------------------------------------------------------------------------------------


def bootstrap(
    help: str = "Kafka brokers: host:port, comma-separated.", name: str = "kafka_bootstrap"
) -> Callable[[F], F]:
    """Connect to Kafka."""
    return click.option("--bootstrap", name, help=help)


RULES = click.option(
    "--rules",
    "rules_file",
    type=EXISTING_FILE,
    help="TOML file of business rules. A worker reloads it when it changes.",
)


def catalogue(help: str) -> Callable[[F], F]:
    """Read what is known of songs: `songs_file`."""
    return click.option("--catalogue", "songs_file", type=EXISTING_FILE, help=help)


def data_dir(help: str) -> Callable[[F], F]:
    """Keep state in a directory: `data_dir`."""
    return click.option("--data-dir", type=click.Path(path_type=Path), help=help)


def metrics_port(default: int | None = None) -> Callable[[F], F]:
    """Serve Prometheus metrics on a port: `metrics_port`."""
    return number(
        "--metrics-port", default, "Port of the Prometheus metrics; 0 turns them off.", PORT
    )


def address(port: int, host_help: str, port_help: str | None = None) -> Callable[[F], F]:
    """Listen on an address: `host` and `port`."""
    return group(
        click.option("--host", default="127.0.0.1", show_default=True, help=host_help),
        number("--port", port, port_help, PORT),
    )


def demo_directory(help: str) -> Callable[[F], F]:
    """Keep everything of a demo in a directory: `directory`."""
    return click.option(
        "--dir",
        "directory",
        type=NEW_DIRECTORY,
        default=Path("segue-demo"),
        show_default=True,
        help=help,
    )


def rate(help: str, default: float | None = None) -> Callable[[F], F]:
    """Send plays at a rate: `rate`, plays per second."""
    return number("--rate", default, help, POSITIVE)


# Training --------------------------------------------------------------------------------------


def epochs(default: int, option: str = "--epochs") -> Callable[[F], F]:
    """Train for at most so many passes over the training data."""
    return number(option, default, "Passes over the training data, at most.")


def patience(default: int) -> Callable[[F], F]:
    """Stop early: `patience`, in epochs."""
    return number("--patience", default, "Stop after so many epochs without a better MRR@20.")


def dim(default: int, help: str = "Size of a song embedding.") -> Callable[[F], F]:
    """Set the size of embeddings: `dim`."""
    return number("--dim", default, help)


def workers(default: int, help: str) -> Callable[[F], F]:
    """Run in parallel: `workers`."""
    return number("--workers", default, help)


def tune(help: str) -> Callable[[F], F]:
    """Search hyper-parameters: `trials`; 0 searches none."""
    return click.option("--tune", "trials", type=COUNT_OR_NONE, default=0, help=help)


def validation_fraction(
    help: str = "Share of the plays, the last ones, in the validation split; 0: no validation.",
) -> Callable[[F], F]:
    """Hold out a validation split: `validation_fraction`."""
    return number("--validation-fraction", 0.1, help, click.FloatRange(min=0, max=0.9))


TRAINING_LOG = group(play_log(), SESSION_GAP)
TRAINING_FIGURES = group(seed(), json_file())
MIN_COUNT = number("--min-count", 1, "Leave out songs with fewer plays.")
REFIT = click.option(
    "--refit/--no-refit",
    default=True,
    show_default=True,
    help="Afterwards train on everything, the validation split included, and keep that model.",
)
TIME_BUDGET = click.option(
    "--time-budget-s",
    type=POSITIVE,
    default=float("inf"),
    help="Stop training after so many seconds.",
)
WARM_START = click.option(
    "--continue",
    "continued",
    type=EXISTING_DIRECTORY,
    help="Start from the weights of this bundle and train on newer plays.",
)
AUDIO_DIRECTORY = click.option(
    "--audio",
    "audio_directory",
    type=EXISTING_DIRECTORY,
    help="Directory of audio files (mp3, ogg, flac, wav). A file is named after its song's id.",
)
SPECTROGRAM_CACHE = click.option(
    "--cache", type=NEW_DIRECTORY, help="With --audio: keep spectrograms here for the next run."
)
DECODERS = workers(2, "With --audio: files decoded in parallel.")

# Benchmarks ------------------------------------------------------------------------------------

BENCHMARK_BROKER = bootstrap(
    "Kafka brokers: host:port, comma-separated. [default: an embedded broker]", "bootstrap"
)


def kind(default: str) -> Callable[[F], F]:
    """Choose what serves in a benchmark: `kind`."""
    return choice("--kind", ["gru", "hybrid"], default, "Kind of the served bundle.")


def play_count(default: int, help: str) -> Callable[[F], F]:
    """Generate so many plays: `plays`."""
    return number("--plays", default, help, click.IntRange(min=1_000))


def songs(
    default: int | tuple[int, ...] | None, help: str = "Songs in the catalogue."
) -> Callable[[F], F]:
    """Set the size of the catalogue: `songs`; a default other than a number allows several."""
    several = not isinstance(default, int)
    return click.option(
        "--songs",
        type=click.IntRange(200, 5_000_000),
        multiple=several,
        default=default,
        show_default=default is not None,
        help=help + (" Repeatable." if several else ""),
    )


def rounds(default: int, least: int = 1) -> Callable[[F], F]:
    """Repeat every measurement: `rounds`."""
    return number(
        "--rounds", default, "Repetitions of every measurement.", click.IntRange(min=least)
    )


def seconds(option: str, default: float, help: str) -> Callable[[F], F]:
    """Set how long something is measured."""
    length = click.FloatRange(min=0.1)
    return click.option(option, type=length, default=default, show_default=True, help=help)


def sizes(option: str, default: tuple[int, ...], help: str) -> Callable[[F], F]:
    """Accept several sizes."""
    return click.option(
        option,
        type=COUNT,
        multiple=True,
        default=default,
        show_default=True,
        help=f"{help} Repeatable.",
    )
