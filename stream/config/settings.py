"""Every setting of Segue: its meaning, its bounds and where its value came from.

The only module that reads the environment. A value is looked for in `SEGUE_<NAME>`, then in
the TOML file (`segue.toml`, or the path in SEGUE_CONFIG), then the default below holds.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    FilePath,
    PrivateAttr,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from segue.models.errors import SegueError


def cross_field_errors(settings: Settings) -> Iterator[str]:
    """Cross-field validation: yield each pair of settings that contradict, and the remedy."""
    yield from _security(settings)
    topics = settings.topics
    if len(set(topics)) < len(topics):
        yield f"two topics have one name among {', '.join(topics)}: give each its own"
    if settings.store_max_size_mb < settings.store_size_mb:
        yield (
            f"store_max_size_mb = {settings.store_max_size_mb} is less than "
            f"store_size_mb = {settings.store_size_mb}: raise it or lower the other"
        )
    if settings.candidates < settings.list_length + settings.no_repeat_songs:
        yield (
            f"candidates = {settings.candidates} cannot fill a list of list_length = "
            f"{settings.list_length} without no_repeat_songs = {settings.no_repeat_songs}: "
            "raise it or lower one of the others"
        )
    if settings.session_max_songs > settings.history_max_songs:
        yield (
            f"session_max_songs = {settings.session_max_songs} is more than "
            f"history_max_songs = {settings.history_max_songs} keeps: "
            "lower it or raise the other"
        )
    if settings.batch_max > settings.recent_plays:
        yield (
            f"batch_max = {settings.batch_max} is more than recent_plays = "
            f"{settings.recent_plays} look back on: lower it or raise the other"
        )


def _security(settings: Settings) -> Iterator[str]:
    protocol = f"kafka_security_protocol = {settings.kafka_security_protocol}"
    has_user = settings.kafka_sasl_username is not None
    has_password = settings.kafka_sasl_password is not None
    has_certificate = settings.kafka_ssl_cert_file is not None
    has_key = settings.kafka_ssl_key_file is not None
    if settings.uses_sasl and not (has_user and has_password):
        yield f"{protocol} needs kafka_sasl_username and kafka_sasl_password: set both"
    if not settings.uses_sasl and (has_user or has_password):
        yield (
            f"{protocol} would not use kafka_sasl_username and kafka_sasl_password: "
            "set it to SASL_SSL or SASL_PLAINTEXT, or leave them out"
        )
    if not settings.uses_ssl and (settings.kafka_ssl_ca_file or has_certificate or has_key):
        yield (
            f"{protocol} would not use the kafka_ssl files: "
            "set it to SSL or SASL_SSL, or leave them out"
        )
    if has_certificate != has_key:
        yield ("kafka_ssl_cert_file and kafka_ssl_key_file belong together: set both or neither")


PREFIX = "SEGUE_"


def shown(name: str, origin: str) -> str:
    """Write a setting's name the way its origin spells it."""
    return PREFIX + name.upper() if origin == "environment" else name


def describe(
    error: ErrorDetails, fields: Mapping[str, FieldInfo], origins: Mapping[str, str]
) -> str:
    """Return which setting has which wrong value, where from, and what to give instead."""
    message = error["msg"].removeprefix("Value error, ")
    if not error["loc"]:
        return message
    if error["type"] == "string_pattern_mismatch":
        message = "is not of that form"
    name = str(error["loc"][0])
    known = fields[name]
    value = "(secret)" if "SecretStr" in str(known.annotation) else repr(error["input"])
    setting = f"{shown(name, origins[name])} = {value} ({origins[name]})"
    default = "none" if known.default is None else known.default
    remedy = f"give {known.description} (default {default})"
    return f"{setting}: {message[0].lower()}{message[1:]}; {remedy}"


UpperCase = BeforeValidator(lambda value: value.upper() if isinstance(value, str) else value)
Protocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
Mechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]
LogFormat = Literal["console", "json"]
Level = Literal["DEBUG", "INFO", "WARNING", "ERROR"]
# host:port, host:port, ...; an IPv6 address stands in brackets.
Bootstrap = Annotated[
    str, Field(pattern=r"^(\[[^\]\s]+\]|[^\s:,/]+):\d+(,([^\s:,/]+|\[[^\]\s]+\]):\d+)*$")
]
TopicName = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,249}$")]


def about(default: Any, description: str, **bounds: Any) -> Any:
    """Give a field its default, its one-line description and its bounds."""
    return Field(default=default, description=description, **bounds)


CONFIG_VARIABLE = "SEGUE_CONFIG"
TEST_PREFIX = "SEGUE_TEST_"  # belongs to the tests: no setting, and no slip of the pen either
CONFIG_FILE = Path("segue.toml")


class SettingsError(SegueError):
    """A setting that cannot be used: names the setting, its value and the remedy."""


class Settings(BaseSettings):
    """All settings, checked and unchangeable. Made by `load_settings`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,  # compose files hand on what is not set as an empty string
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,  # an input may be a secret
        protected_namespaces=(),
    )

    kafka_bootstrap: Bootstrap = about(
        "127.0.0.1:9092", "Kafka brokers to begin with: host:port, separated by commas"
    )
    kafka_security_protocol: Annotated[Protocol, UpperCase] = about(
        "PLAINTEXT", "how brokers are spoken to: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL"
    )
    kafka_sasl_mechanism: Annotated[Mechanism, UpperCase] = about(
        "SCRAM-SHA-512", "SASL mechanism: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"
    )
    kafka_sasl_username: str | None = about(None, "SASL user name", min_length=1)
    kafka_sasl_password: SecretStr | None = about(None, "SASL password", min_length=1)
    kafka_ssl_ca_file: FilePath | None = about(
        None, "PEM file of the authorities to trust; none: those of the operating system"
    )
    kafka_ssl_cert_file: FilePath | None = about(None, "PEM file of our own certificate")
    kafka_ssl_key_file: FilePath | None = about(None, "PEM file of our own certificate's key")
    kafka_ssl_key_password: SecretStr | None = about(None, "password of that key")
    kafka_ssl_check_hostname: bool = about(
        True, "refuse a broker whose certificate names another host"
    )

    topic_plays: TopicName = about("plays", "topic the plays are read from")
    topic_recommendations: TopicName = about(
        "recommendations", "topic the recommendation lists are published to"
    )
    topic_rejected: TopicName = about(
        "plays.rejected", "topic that keeps the plays that could not be read, with the reason"
    )
    topic_songs: TopicName = about("songs", "compacted topic of the catalogue")
    topic_models: TopicName = about("models", "compacted topic that announces model bundles")
    topic_partitions: int = about(
        4, "partitions of plays, recommendations and rejected plays", ge=1, le=10_000
    )
    topic_replication: int = about(1, "replicas of each partition, in brokers", ge=1, le=100)
    topic_retention_days: float = about(
        90, "days that plays are kept; histories are rebuilt from them", gt=0, le=36_500
    )
    topic_recommendations_retention_days: float = about(
        7, "days that recommendation lists are kept", gt=0, le=36_500
    )
    topic_rejected_retention_days: float = about(
        30, "days that rejected plays are kept", gt=0, le=36_500
    )
    group_id: TopicName = about("segue", "consumer group of the workers")

    data_dir: Path = about(Path("segue-data"), "directory of the histories and other state")
    bundle: Path | None = about(
        None, "directory of the model bundle to begin with; none: popularity alone"
    )
    bundle_root: Path | None = about(
        None, "directory below which announced bundles lie; none: `models` is not followed"
    )
    shadow_bundle: Path | None = about(
        None, "directory of a shadow model's bundle: evaluated on the same plays, never published"
    )
    shadow_share: float = about(1, "share of listeners the bundle on trial follows", gt=0, le=1)
    shadow_max_wait_s: float = about(
        1, "seconds a list may come after its play for the bundle on trial to follow", gt=0, le=1e6
    )
    history_max_songs: int = about(200, "plays kept of each listener", ge=1, le=100_000)
    history_max_days: float = about(90, "days after which a play is dropped", gt=0, le=36_500)
    session_gap_s: float = about(
        1800, "seconds without a play that end a session", gt=0, le=86_400 * 365
    )
    session_max_songs: int = about(
        50, "last plays of a session that the model sees", ge=1, le=1_000
    )
    store_size_mb: int = about(
        256, "MiB of address space the history store begins with", ge=1, le=2**24
    )
    store_max_size_mb: int = about(65_536, "MiB the history store may grow to", ge=1, le=2**24)

    list_length: int = about(20, "songs in a recommendation list", ge=1, le=1_000)
    no_repeat_songs: int = about(1, "last plays of a session, excluded from lists", ge=0, le=1_000)
    rules_file: FilePath | None = about(None, "TOML file of rules of lists, read when it changes")
    songs_file: FilePath | None = about(None, "JSON lines of songs, as of topic_songs, for rules")
    candidates: int = about(100, "songs retrieved to be ranked", ge=1, le=100_000)
    popularity_half_life_days: float = about(
        7, "days after which a play counts half for popularity", gt=0, le=36_500
    )
    popularity_max_songs: int = about(
        20_000, "songs whose popularity is counted", ge=1, le=10_000_000
    )
    recent_plays: int = about(
        200_000, "last plays of a partition that new lists learn from", ge=1, le=10_000_000
    )

    batch_max: int = about(512, "plays handled together at most", ge=1, le=100_000)
    batch_wait_ms: float = about(0, "milliseconds to wait for a batch to fill", ge=0, le=60_000)
    fetch_wait_ms: int = about(
        10, "milliseconds a broker may hold a fetch that finds nothing", ge=1, le=60_000
    )
    play_max_bytes: int = about(65_536, "bytes of the largest play that is read", ge=128, le=2**30)
    future_tolerance_s: float = about(
        86_400, "seconds a play's time may lie after its record's timestamp", ge=0, le=86_400 * 365
    )
    stall_timeout_s: float = about(
        60, "seconds without progress on waiting plays after which a worker stops", gt=0, le=86_400
    )
    stop_timeout_s: float = about(
        20, "seconds for batches in flight once a worker is asked to stop", gt=0, le=86_400
    )
    metrics_host: str = about("127.0.0.1", "address the metrics are served on", min_length=1)
    metrics_port: int = about(9464, "port the metrics are served on; 0: off", ge=0, le=65_535)
    worker_threads: int = about(
        1, "threads between which a batch's listeners are divided", ge=1, le=1_024
    )
    tracing_endpoint: str | None = about(
        None, "OTLP/HTTP address to send traces to, such as http://collector:4318/v1/traces"
    )
    log_level: Annotated[Level, UpperCase] = about(
        "INFO", "least level logged: DEBUG, INFO, WARNING or ERROR"
    )
    log_format: LogFormat = about(
        "console", "how the log is written: console, or json, an object a line"
    )

    _origins: dict[str, str] = PrivateAttr(default_factory=dict)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order the sources: arguments, environment, file."""
        return init_settings, env_settings, InitSettingsSource(settings_cls, _file_values())

    @property
    def uses_ssl(self) -> bool:
        """Whether the connection to the brokers is encrypted."""
        return self.kafka_security_protocol in ("SSL", "SASL_SSL")

    @property
    def uses_sasl(self) -> bool:
        """Whether we name ourselves to the brokers."""
        return self.kafka_security_protocol in ("SASL_PLAINTEXT", "SASL_SSL")

    @property
    def refresh_group_id(self) -> str:
        """The consumer group of the refresh processes."""
        return f"{self.group_id}-refresh"

    @property
    def topics(self) -> tuple[str, ...]:
        """The names of the five topics."""
        return (
            self.topic_plays,
            self.topic_recommendations,
            self.topic_rejected,
            self.topic_songs,
            self.topic_models,
        )

    @model_validator(mode="after")
    def _agree(self) -> Self:
        """Refuse settings that contradict each other."""
        found = list(cross_field_errors(self))
        if found:
            raise ValueError("; ".join(found))
        return self


def load_settings(**overrides: Any) -> Settings:
    """Gather the settings: `overrides` before the environment before the file.

    Raises SettingsError where a name is unknown or a value cannot be used.
    """
    environment, file = _environment_names(), _file_values()
    _refuse_unknown(environment, "environment")
    _refuse_unknown(file, "file")
    _refuse_unknown(overrides, "argument")
    origins = dict.fromkeys(Settings.model_fields, "default")
    origins |= dict.fromkeys(file, "file") | dict.fromkeys(environment, "environment")
    origins |= dict.fromkeys(overrides, "argument")
    try:
        settings = Settings(**overrides)
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False)
        # `from None`: the cause would carry the inputs, and an input may be a secret.
        raise SettingsError(
            "; ".join(describe(one, Settings.model_fields, origins) for one in details)
        ) from None
    settings._origins.update(origins)
    return settings


def origins(settings: Settings) -> dict[str, str]:
    """Return for each setting where it came from: environment, file, argument or default."""
    return {name: settings._origins.get(name, "argument") for name in Settings.model_fields}


def config_file() -> Path | None:
    """Return the settings file in force, or None; one that SEGUE_CONFIG names must exist."""
    named = os.environ.get(CONFIG_VARIABLE)
    if named and not Path(named).is_file():
        raise SettingsError(
            f"{CONFIG_VARIABLE} = {named!r} is not a file: name a TOML file or unset it"
        )
    if named:
        return Path(named)
    return CONFIG_FILE if CONFIG_FILE.is_file() else None


def _file_values() -> dict[str, Any]:
    path = config_file()
    if path is None:
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise SettingsError(f"{path}: cannot be read as TOML: {error}") from error


def _environment_names() -> list[str]:
    return [
        name.upper().removeprefix(PREFIX).lower()
        for name, value in os.environ.items()
        if name.upper().startswith(PREFIX) and not name.upper().startswith(TEST_PREFIX)
        if value and name.upper() != CONFIG_VARIABLE
    ]


def _refuse_unknown(names: Iterable[str], origin: str) -> None:
    for name in names:
        if name in Settings.model_fields:
            continue
        near = get_close_matches(name, Settings.model_fields, n=1)
        remedy = f"did you mean {shown(near[0], origin)}?" if near else "see `segue settings`"
        raise SettingsError(f"there is no setting {shown(name, origin)} ({origin}): {remedy}")
