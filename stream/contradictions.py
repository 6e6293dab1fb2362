"""Settings that cannot hold together, though each alone could."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stream.settings import Settings


def contradictions(settings: Settings) -> Iterator[str]:
    """Name each pair of settings that contradict each other, and the remedy."""
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
