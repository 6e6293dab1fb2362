"""Every Kafka client through TLS and SASL, behind a door that demands them."""

import asyncio
import logging
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import faust
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka import TopicPartition as AioTopicPartition
from faust.types.auth import AuthProtocol
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from segue.stream.config.settings import Settings, SettingsError, load_settings
from segue.stream.kafka.clients import (
    KafkaUnavailable,
    Password,
    aiokafka_config,
    faust_broker_config,
    kafka_python_config,
    kafka_python_group_config,
    reaching,
    ssl_context,
)
from segue.stream.kafka.embedded_broker import EmbeddedBroker
from tests.support.certificates import KEY_PASSWORD, write_certificates
from tests.support.tls_sasl_gateway import Gateway
from tests.support.waiting import PATIENCE_S

USER, PASSWORD = "anna", "hunter2-hunter2"
TOPIC = "plays"
SECURED = ["SSL", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("certificates")
    write_certificates(directory)
    return directory


def server_context(certificates: Path, name: str = "server", mutual: bool = False):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / f"{name}.pem", certificates / f"{name}.key")
    if mutual:
        context.load_verify_locations(certificates / "ca.pem")
        context.verify_mode = ssl.CERT_REQUIRED
    return context


@contextmanager
def door(context: ssl.SSLContext | None, mechanism: str | None = None) -> Iterator[Gateway]:
    """Start an empty broker behind a door."""
    with (
        Gateway(context, mechanism, USER, PASSWORD) as gateway,
        EmbeddedBroker(advertised_port=gateway.port) as broker,
    ):
        gateway.target_port = broker.port
        yield gateway


def ssl_settings(gateway: Gateway, certificates: Path, **overrides) -> Settings:
    secured = {
        "kafka_bootstrap": f"127.0.0.1:{gateway.port}",
        "kafka_security_protocol": "SSL",
        "kafka_ssl_ca_file": certificates / "ca.pem",
    }
    return load_settings(**(secured | overrides))


def sasl(mechanism: str, password: str = PASSWORD) -> dict[str, str]:
    if mechanism == "SSL":
        return {}
    return {
        "kafka_security_protocol": "SASL_SSL",
        "kafka_sasl_mechanism": mechanism,
        "kafka_sasl_username": USER,
        "kafka_sasl_password": password,
    }


@pytest.fixture(params=SECURED)
def secured(request, certificates) -> Iterator[Settings]:
    """Return settings for a broker behind TLS, and behind each mechanism of SASL over TLS."""
    mechanism = None if request.param == "SSL" else request.param
    with door(server_context(certificates), mechanism) as gateway:
        yield ssl_settings(gateway, certificates, **sasl(request.param))
        assert gateway.let_in > 0


def kafka_python_round_trip(settings: Settings) -> bytes:
    producer = KafkaProducer(**kafka_python_config(settings))
    producer.send(TOPIC, b"through kafka-python", partition=0).get(PATIENCE_S)
    producer.close()
    consumer = KafkaConsumer(**kafka_python_config(settings), auto_offset_reset="earliest")
    consumer.assign([TopicPartition(TOPIC, 0)])
    [records] = consumer.poll(timeout_ms=10_000).values()
    consumer.close()
    return records[-1].value


async def aiokafka_round_trip(settings: Settings) -> bytes:
    async with AIOKafkaProducer(**aiokafka_config(settings)) as producer:
        await producer.send_and_wait(TOPIC, b"through aiokafka", partition=0)
    async with AIOKafkaConsumer(
        **aiokafka_config(settings), auto_offset_reset="earliest"
    ) as consumer:
        consumer.assign([AioTopicPartition(TOPIC, 0)])
        return (await asyncio.wait_for(consumer.getone(), PATIENCE_S)).value


async def faust_round_trip(settings: Settings, directory: Path) -> bytes:
    app = faust.App(
        "tests",
        **faust_broker_config(settings),
        datadir=directory,
        broker_session_timeout=6,
        broker_heartbeat_interval=2,
        broker_rebalance_timeout=6,
        topic_partitions=1,
        topic_replication_factor=1,
        topic_disable_leader=True,
        web_enabled=False,
    )
    topic = app.topic("songs", value_serializer="raw", key_serializer="raw", partitions=1)
    received = asyncio.get_running_loop().create_future()

    @app.agent(topic)
    async def listen(stream):
        async for value in stream:
            received.set_result(value)

    async with app:
        await topic.send(value=b"through faust")
        return await asyncio.wait_for(received, PATIENCE_S)


def test_kafka_python_speaks_tls_and_sasl(secured):
    assert kafka_python_round_trip(secured) == b"through kafka-python"


def test_aiokafka_speaks_tls_and_sasl(secured):
    assert asyncio.run(aiokafka_round_trip(secured)) == b"through aiokafka"


def test_faust_speaks_tls_and_sasl(certificates, tmp_path):
    with door(server_context(certificates), "SCRAM-SHA-512") as gateway:
        settings = ssl_settings(gateway, certificates, **sasl("SCRAM-SHA-512"))
        assert asyncio.run(faust_round_trip(settings, tmp_path)) == b"through faust"


def test_sasl_goes_without_tls_where_it_is_asked_to():
    with door(None, "SCRAM-SHA-256") as gateway:
        settings = load_settings(
            kafka_bootstrap=f"127.0.0.1:{gateway.port}",
            **(sasl("SCRAM-SHA-256") | {"kafka_security_protocol": "SASL_PLAINTEXT"}),
        )
        assert asyncio.run(aiokafka_round_trip(settings)) == b"through aiokafka"


def test_a_broker_may_demand_our_own_certificate(certificates):
    own = {
        "kafka_ssl_cert_file": certificates / "client.pem",
        "kafka_ssl_key_file": certificates / "client.key",
        "kafka_ssl_key_password": KEY_PASSWORD,
    }
    with door(server_context(certificates, mutual=True)) as gateway:
        settings = ssl_settings(gateway, certificates, **own)
        assert kafka_python_round_trip(settings) == b"through kafka-python"
        with pytest.raises(KafkaUnavailable):
            probe(ssl_settings(gateway, certificates))


def probe(settings: Settings) -> None:
    async def run() -> None:
        producer = AIOKafkaProducer(**aiokafka_config(settings))
        try:
            await producer.start()
        finally:
            await producer.stop()

    with reaching(settings):
        asyncio.run(run())


def test_a_wrong_password_is_refused_and_the_message_says_where_to_look(certificates):
    with door(server_context(certificates), "SCRAM-SHA-512") as gateway:
        settings = ssl_settings(gateway, certificates, **sasl("SCRAM-SHA-512", "wrong"))
        with pytest.raises(KafkaUnavailable, match=r"\(SASL_SSL\).*certificate and password\?"):
            probe(settings)


def test_a_certificate_of_nobody_we_trust_is_refused(certificates, tmp_path):
    write_certificates(tmp_path)
    with door(server_context(certificates)) as gateway:
        probe(ssl_settings(gateway, certificates))
        with pytest.raises(KafkaUnavailable):
            probe(ssl_settings(gateway, tmp_path))


def test_a_certificate_of_another_host_is_refused_unless_told_otherwise(certificates):
    with door(server_context(certificates, "elsewhere")) as gateway:
        with pytest.raises(KafkaUnavailable):
            probe(ssl_settings(gateway, certificates))
        probe(ssl_settings(gateway, certificates, kafka_ssl_check_hostname=False))


def test_no_client_logs_or_shows_the_password(certificates, caplog):
    caplog.set_level(logging.DEBUG)
    with door(server_context(certificates), "PLAIN") as gateway:
        settings = ssl_settings(gateway, certificates, **sasl("PLAIN"))
        kafka_python_round_trip(settings)
        asyncio.run(aiokafka_round_trip(settings))
    assert any(record.levelno == logging.DEBUG for record in caplog.records)
    shown = [kafka_python_config(settings), aiokafka_config(settings)]
    assert PASSWORD not in f"{caplog.text} {shown!r} {faust_broker_config(settings)!r}"


def test_faust_is_given_every_broker_and_the_credentials_of_the_protocol(certificates):
    plain = load_settings(kafka_bootstrap="a:1,b:2")
    assert faust_broker_config(plain) == {
        "broker": ["kafka://a:1", "kafka://b:2"],
        "broker_credentials": None,
    }
    ca = {"kafka_security_protocol": "SSL", "kafka_ssl_ca_file": certificates / "ca.pem"}
    encrypted = faust_broker_config(load_settings(**ca))["broker_credentials"]
    assert encrypted.protocol is AuthProtocol.SSL
    named = faust_broker_config(load_settings(**(ca | sasl("SCRAM-SHA-256"))))
    credentials = named["broker_credentials"]
    assert credentials.protocol is AuthProtocol.SASL_SSL
    assert credentials.mechanism.value == "SCRAM-SHA-256"
    assert (credentials.username, credentials.password) == (USER, PASSWORD)


def test_a_group_of_kafka_python_notices_a_dead_member_in_seconds():
    config = kafka_python_group_config(load_settings(group_id="listeners"))
    assert config["group_id"] == "listeners"
    assert config["session_timeout_ms"] == 6000


def test_tls_is_never_older_than_1_2(certificates):
    settings = load_settings(
        kafka_security_protocol="SSL", kafka_ssl_ca_file=certificates / "ca.pem"
    )
    context = ssl_context(settings)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname
    assert ssl_context(load_settings()) is None


@pytest.mark.parametrize("password", [None, "not this one"])
def test_a_key_that_does_not_open_names_its_settings(certificates, password):
    settings = load_settings(
        kafka_security_protocol="SSL",
        kafka_ssl_cert_file=certificates / "client.pem",
        kafka_ssl_key_file=certificates / "client.key",
        kafka_ssl_key_password=password,
    )
    with pytest.raises(SettingsError, match=r"kafka_ssl_key_file = .*kafka_ssl_key_password"):
        ssl_context(settings)


def test_a_file_that_is_no_certificate_names_its_setting(tmp_path):
    empty = tmp_path / "ca.pem"
    empty.write_text("not a certificate")
    settings = load_settings(kafka_security_protocol="SSL", kafka_ssl_ca_file=empty)
    with pytest.raises(SettingsError, match=r"kafka_ssl_ca_file = .*ca\.pem.*give a PEM file"):
        ssl_context(settings)


def test_a_password_passes_as_text_and_prints_as_secret():
    password = Password("hunter2")
    assert password == "hunter2"
    assert password.encode() == b"hunter2"
    assert repr([password]) == "[(secret)]"
