"""The AsyncAPI document has every topic and schema, and its schemas accept what is on the wire."""

from __future__ import annotations

from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from segue.stream.config.settings import Settings
from segue.stream.kafka.asyncapi import asyncapi_document, render
from tests.support.schemas import SCHEMAS, schema

SETTINGS = Settings.model_construct()
DOCUMENT = asyncapi_document(SETTINGS)
NAMES = sorted(path.stem for path in SCHEMAS.iterdir())


def references(part):
    if isinstance(part, dict):
        yield from ([part["$ref"]] if "$ref" in part else [])
        for inner in part.values():
            yield from references(inner)
    if isinstance(part, list):
        for inner in part:
            yield from references(inner)


def follow(reference):
    found = DOCUMENT
    for step in reference.removeprefix("#/").split("/"):
        found = found[step]
    return found


def test_every_reference_leads_somewhere():
    found = list(references(DOCUMENT))
    assert found
    assert all(follow(reference) for reference in found)


def test_every_topic_is_a_channel_with_an_operation():
    channels = DOCUMENT["channels"]
    assert sorted(one["address"] for one in channels.values()) == sorted(SETTINGS.topics)
    used = {operation["channel"]["$ref"] for operation in DOCUMENT["operations"].values()}
    assert used == {f"#/channels/{name}" for name in channels}
    assert {one["action"] for one in DOCUMENT["operations"].values()} == {"send", "receive"}


def test_every_schema_is_a_message_of_one_channel():
    sent = [name for channel in DOCUMENT["channels"].values() for name in channel["messages"]]
    assert sorted(sent) == sorted(DOCUMENT["components"]["messages"]) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_means_the_same_as_the_one_in_the_package(name):
    components = DOCUMENT["components"]
    embedded = {"$ref": f"#/components/schemas/{name}", "components": components}
    validator = Draft202012Validator(embedded)
    original = schema(name)
    Draft202012Validator.check_schema(components["schemas"][name])
    for example in original["examples"]:
        validator.validate(example)
        for required in original["required"]:
            less = {key: value for key, value in example.items() if key != required}
            assert not validator.is_valid(less)


def test_the_document_in_docs_is_as_the_code_writes_it():
    path = Path(__file__).parents[4] / "docs" / "asyncapi.json"
    assert path.read_text("utf-8") == render(SETTINGS), "run `make docs`"
