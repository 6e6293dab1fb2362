import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from segue.stream.config.settings import Settings, SettingsError, load_settings, origins
from tests.support.cli import segue


@pytest.fixture(autouse=True)
def bare(monkeypatch, tmp_path):
    """Leave the machine's own settings out."""
    for name in list(os.environ):
        if name.upper().startswith("SEGUE_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def write(text: str) -> None:
    Path("segue.toml").write_text(text, encoding="utf-8")


def refusal(**overrides: object) -> str:
    with pytest.raises(SettingsError) as caught:
        load_settings(**overrides)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_defaults_hold_where_nothing_is_set():
    settings = load_settings()
    assert settings.kafka_bootstrap == "127.0.0.1:9092"
    assert settings.topics == ("plays", "recommendations", "plays.rejected", "songs", "models")
    assert settings.data_dir == Path("segue-data")
    assert settings.bundle is None
    assert set(origins(settings).values()) == {"default"}


def test_every_setting_says_what_it_is():
    for name, field in Settings.model_fields.items():
        assert field.description, name


def test_environment_goes_before_file_goes_before_default(monkeypatch):
    write("list_length = 30\nbatch_max = 7\n")
    monkeypatch.setenv("SEGUE_LIST_LENGTH", "40")
    settings = load_settings(worker_threads=2)
    assert (settings.list_length, settings.batch_max, settings.candidates) == (40, 7, 100)
    came_from = origins(settings)
    assert came_from["list_length"] == "environment"
    assert came_from["batch_max"] == "file"
    assert came_from["worker_threads"] == "argument"
    assert came_from["candidates"] == "default"


def test_an_empty_variable_is_not_set(monkeypatch):
    monkeypatch.setenv("SEGUE_BATCH_MAX", "")
    settings = load_settings()
    assert settings.batch_max == 512
    assert origins(settings)["batch_max"] == "default"


def test_segue_config_names_the_file(monkeypatch):
    Path("other.toml").write_text("batch_max = 9\n", encoding="utf-8")
    write("batch_max = 7\n")
    monkeypatch.setenv("SEGUE_CONFIG", "other.toml")
    assert load_settings().batch_max == 9


def test_segue_config_must_name_a_file(monkeypatch):
    monkeypatch.setenv("SEGUE_CONFIG", "nowhere.toml")
    assert refusal() == "SEGUE_CONFIG = 'nowhere.toml' is not a file: name a TOML file or unset it"


def test_broken_toml_names_the_file_and_the_line():
    write("batch_max = \n")
    assert refusal().startswith("segue.toml: cannot be read as TOML: Invalid value (at line 1")


def test_an_unknown_variable_names_its_near_match(monkeypatch):
    monkeypatch.setenv("SEGUE_BATCH_MXA", "3")
    assert refusal() == (
        "there is no setting SEGUE_BATCH_MXA (environment): did you mean SEGUE_BATCH_MAX?"
    )


def test_an_unknown_key_names_its_near_match():
    write("list_lenght = 3\n")
    assert refusal() == "there is no setting list_lenght (file): did you mean list_length?"


def test_an_unknown_key_without_a_near_match_points_to_the_list():
    write("[zzz]\nqqq = 3\n")
    assert refusal() == "there is no setting zzz (file): see `segue settings`"


def test_variables_of_the_tests_are_no_settings(monkeypatch):
    monkeypatch.setenv("SEGUE_TEST_BROKER", "127.0.0.1:1")
    assert load_settings().kafka_bootstrap == "127.0.0.1:9092"


def test_a_wrong_value_names_setting_value_origin_and_remedy(monkeypatch):
    monkeypatch.setenv("SEGUE_BATCH_MAX", "many")
    assert refusal() == (
        "SEGUE_BATCH_MAX = 'many' (environment): input should be a valid integer, unable to parse "
        "string as an integer; give plays handled together at most (default 512)"
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("batch_max", 0),
        ("metrics_port", 65_536),
        ("session_gap_s", float("nan")),
        ("session_gap_s", float("inf")),
        ("topic_retention_days", 0),
        ("no_repeat_songs", -1),
        ("kafka_bootstrap", "kafka"),
        ("kafka_bootstrap", "kafka:9092,"),
        ("kafka_bootstrap", "kafka://kafka:9092"),
        ("topic_plays", "plays of today"),
        ("group_id", ""),
        ("kafka_security_protocol", "TLS"),
        ("log_level", "LOUD"),
    ],
)
def test_a_value_out_of_bounds_is_refused(name, value):
    assert refusal(**{name: value}).startswith(f"{name} = {value!r} (argument): ")


def test_all_wrong_values_are_named_at_once():
    message = refusal(batch_max=0, list_length=0)
    assert "batch_max = 0" in message
    assert "list_length = 0" in message


@pytest.mark.parametrize("given", ["a:1", "a.b-c:1,[::1]:2", "127.0.0.1:9092,127.0.0.1:9093"])
def test_several_brokers_may_be_named(given):
    assert load_settings(kafka_bootstrap=given).kafka_bootstrap == given


def test_names_of_kafka_may_come_in_lower_case():
    settings = load_settings(log_level="debug", kafka_sasl_mechanism="scram-sha-256")
    assert (settings.log_level, settings.kafka_sasl_mechanism) == ("DEBUG", "SCRAM-SHA-256")


@pytest.mark.parametrize(
    ("overrides", "named", "remedy"),
    [
        ({"kafka_security_protocol": "SASL_SSL"}, "SASL_SSL needs kafka_sasl_username", "set both"),
        (
            {"kafka_sasl_username": "anna", "kafka_sasl_password": "x"},
            "PLAINTEXT would not use kafka_sasl_username",
            "set it to SASL_SSL",
        ),
        (
            {"kafka_ssl_ca_file": __file__},
            "PLAINTEXT would not use the kafka_ssl files",
            "set it to SSL or SASL_SSL",
        ),
        (
            {"kafka_security_protocol": "SSL", "kafka_ssl_cert_file": __file__},
            "kafka_ssl_cert_file and kafka_ssl_key_file",
            "set both or neither",
        ),
        ({"topic_songs": "plays"}, "plays, recommendations", "give each its own"),
        ({"store_max_size_mb": 10}, "store_max_size_mb = 10", "raise it or lower the other"),
        ({"candidates": 10}, "candidates = 10", "raise it or lower one"),
        ({"history_max_songs": 10}, "history_max_songs = 10", "lower it or raise the other"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(overrides, named, remedy):
    message = refusal(**overrides)
    assert named in message
    assert remedy in message


def test_a_missing_certificate_is_named(tmp_path):
    message = refusal(kafka_security_protocol="SSL", kafka_ssl_ca_file=tmp_path / "ca.pem")
    assert "kafka_ssl_ca_file" in message
    assert "does not point to a file" in message


def test_settings_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        load_settings().batch_max = 3


SASL = {
    "kafka_security_protocol": "SASL_SSL",
    "kafka_sasl_username": "anna",
    "kafka_sasl_password": "hunter2",
}


def test_a_password_is_never_shown():
    settings = load_settings(**SASL)
    assert "hunter2" not in f"{settings!r} {settings} {settings.model_dump_json()}"


def test_a_refusal_does_not_carry_a_password():
    for wrong in ({"kafka_sasl_password": ["hunter2"]}, {"list_length": 0}, {"candidates": 1}):
        with pytest.raises(SettingsError) as caught:
            load_settings(**(SASL | wrong))
        assert "hunter2" not in str(caught.value)
        assert caught.value.__cause__ is None


def test_the_command_shows_value_origin_and_meaning(monkeypatch, tmp_path):
    monkeypatch.setenv("SEGUE_LIST_LENGTH", "33")
    for name, value in SASL.items():
        monkeypatch.setenv(f"SEGUE_{name.upper()}", value)
    result = segue("settings", "--json", tmp_path / "settings.json")
    assert result.exit_code == 0, result.output
    [line] = [line for line in result.output.splitlines() if line.startswith(" list_length ")]
    assert line.split()[:3] == ["list_length", "33", "environment"]
    assert "songs in a recommendation list" in line
    written = (tmp_path / "settings.json").read_text(encoding="utf-8")
    assert json.loads(written)["list_length"] == 33
    assert "hunter2" not in result.output + written


def test_the_command_line_puts_a_wrong_setting_in_one_line():

    code = "from segue.offline.cli import main; main(['settings'])"
    result = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"SEGUE_BATCH_MAX": "0"},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1
    assert result.stderr.startswith("Error: SEGUE_BATCH_MAX = '0' (environment): ")
    assert result.stderr.count("\n") == 1
