"""Configuration of each Kafka client: addresses, TLS and SASL in one place."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from segue.models.errors import SegueError
from segue.stream.config.settings import Settings, SettingsError

if TYPE_CHECKING:
    from pydantic import SecretStr

logger = logging.getLogger(__name__)
CLIENT_ID = "segue"
BOOTSTRAP_TIMEOUT_MS = 10_000
# kafka-python's own default makes a group wait half a minute for a member that is gone.
GROUP_SESSION_MS = 6_000
GROUP_HEARTBEAT_MS = 2_000
LONGEST_FETCH_MS = 10_000
# At DEBUG these write out every request, and the SASL password with it.
LOGGERS_OF_REQUESTS = ("kafka.protocol.parser", "kafka.net.connection", "aiokafka.conn")


class KafkaUnavailable(SegueError):
    """The brokers cannot be reached, or refuse what is asked of them."""


class Password(str):
    """A password for a client that insists on `str`: it does not show itself.

    >>> {"password": Password("hunter2")}
    {'password': (secret)}
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "(secret)"


def kafka_python_config(settings: Settings) -> dict[str, Any]:
    """Give kafka-python's producer, consumer and admin client what they share.

    Raises SettingsError where a certificate or key cannot be used.
    """
    return {
        "bootstrap_servers": settings.kafka_bootstrap.split(","),
        "client_id": CLIENT_ID,
        "bootstrap_timeout_ms": BOOTSTRAP_TIMEOUT_MS,
        **_security(settings),
    }


def kafka_python_group_config(settings: Settings) -> dict[str, Any]:
    """Return the configuration of a kafka-python consumer in the group."""
    return {
        **kafka_python_config(settings),
        "group_id": settings.group_id,
        "session_timeout_ms": GROUP_SESSION_MS,
        "heartbeat_interval_ms": GROUP_HEARTBEAT_MS,
    }


def aiokafka_config(settings: Settings) -> dict[str, Any]:
    """Return the shared configuration of aiokafka's producer and consumer."""
    return {
        "bootstrap_servers": settings.kafka_bootstrap,
        "client_id": CLIENT_ID,
        **_security(settings),
    }


def wait_longer(consumer: Any) -> None:
    """Double the time that an aiokafka consumer's fetch waits for records.

    For when there is something and fetches do not find it. Kafka answers as soon as there is
    anything, whatever the limit; but the embedded broker looks the longer the longer its log gets,
    and answers with nothing, for ever, once that takes longer than the limit.
    """
    fetcher = consumer._fetcher
    if fetcher._fetch_max_wait_ms < LONGEST_FETCH_MS:
        fetcher._fetch_max_wait_ms = min(2 * fetcher._fetch_max_wait_ms, LONGEST_FETCH_MS)
        logger.info(
            "There are records and none comes: a fetch may last %d ms now",
            fetcher._fetch_max_wait_ms,
        )


def faust_broker_config(settings: Settings) -> dict[str, Any]:
    """Return `broker` and `broker_credentials` of `faust.App`."""
    import faust

    context = ssl_context(settings)
    credentials: Any = None
    if settings.uses_sasl:
        credentials = faust.SASLCredentials(
            username=settings.kafka_sasl_username,
            password=_revealed(settings.kafka_sasl_password),
            mechanism=settings.kafka_sasl_mechanism,
            ssl_context=context,
        )
    elif settings.uses_ssl:
        credentials = faust.SSLCredentials(context=context)
    brokers = [f"kafka://{address}" for address in settings.kafka_bootstrap.split(",")]
    return {"broker": brokers, "broker_credentials": credentials}


def ssl_context(settings: Settings) -> ssl.SSLContext | None:
    """Make the TLS context that every client shares, or None where TLS is off.

    Raises SettingsError where a file does not hold what it should.
    """
    if not settings.uses_ssl:
        return None
    context = _trusting(settings)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = settings.kafka_ssl_check_hostname
    if settings.kafka_ssl_cert_file is not None and settings.kafka_ssl_key_file is not None:
        # A function, for without any password OpenSSL would ask for one on the terminal.
        password = _revealed(settings.kafka_ssl_key_password) or ""
        try:
            context.load_cert_chain(
                settings.kafka_ssl_cert_file, settings.kafka_ssl_key_file, lambda: password
            )
        except OSError as error:
            raise SettingsError(
                f"kafka_ssl_cert_file = {str(settings.kafka_ssl_cert_file)!r} and "
                f"kafka_ssl_key_file = {str(settings.kafka_ssl_key_file)!r} cannot be used "
                f"({_reason(error)}): give a PEM certificate, its key, and the key's password in "
                "kafka_ssl_key_password where it has one"
            ) from None
    return context


@contextmanager
def reaching(settings: Settings) -> Iterator[None]:
    """Turn a Kafka client's failure inside into one line for the user.

    Raises KafkaUnavailable.
    """
    from aiokafka.errors import KafkaError as AioKafkaError
    from kafka.errors import KafkaError

    try:
        yield
    except (KafkaError, AioKafkaError) as error:
        # The clients name no cause when a certificate or a password was refused.
        secured = settings.uses_ssl or settings.uses_sasl
        terms = ", and does it take this protocol, certificate and password" if secured else ""
        raise KafkaUnavailable(
            f"Kafka at {settings.kafka_bootstrap} ({settings.kafka_security_protocol}): "
            f"{_reason(error)}; does it run there{terms}? "
            "see SEGUE_KAFKA_BOOTSTRAP and `segue broker`"
        ) from error


def _security(settings: Settings) -> dict[str, Any]:
    config: dict[str, Any] = {
        "security_protocol": settings.kafka_security_protocol,
        "ssl_context": ssl_context(settings),
    }
    if settings.uses_sasl:
        config["sasl_mechanism"] = settings.kafka_sasl_mechanism
        config["sasl_plain_username"] = settings.kafka_sasl_username
        config["sasl_plain_password"] = _revealed(settings.kafka_sasl_password)
    return config


def _trusting(settings: Settings) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=settings.kafka_ssl_ca_file)
    except OSError as error:
        raise SettingsError(
            f"kafka_ssl_ca_file = {str(settings.kafka_ssl_ca_file)!r} cannot be used "
            f"({_reason(error)}): give a PEM file of certificates"
        ) from error


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__


def _revealed(secret: SecretStr | None) -> Password | None:
    for name in LOGGERS_OF_REQUESTS:
        logging.getLogger(name).setLevel(logging.INFO)
    return None if secret is None else Password(secret.get_secret_value())
