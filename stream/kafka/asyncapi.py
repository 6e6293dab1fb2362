"""The AsyncAPI 3 document of the topics, built from their JSON Schemas and their plan.

python -m segue.stream.kafka.asyncapi > docs/asyncapi.json
"""

from __future__ import annotations

import json
from importlib.metadata import version
from importlib.resources import files
from typing import Any, NamedTuple

from segue.stream.config.settings import Settings
from segue.stream.kafka.topics import plan_topics

BYTES_AS_RECEIVED = {
    "description": "The bytes of the record on `plays`, as they were received.",
    "type": "string",
    "format": "binary",
}


class Channel(NamedTuple):
    """A topic: the schemas of its messages, what its key is, and what Segue does with it."""

    setting: str
    schemas: tuple[str, ...]
    key: str
    actions: tuple[str, ...]


CHANNELS = {
    "plays": Channel("topic_plays", ("play", "erasure"), "user_id", ("receive",)),
    "recommendations": Channel("topic_recommendations", ("recommendations",), "user_id", ("send",)),
    "deadLetters": Channel(
        "topic_rejected", ("rejected",), "the key of the record on `plays`", ("send",)
    ),
    "songs": Channel("topic_songs", ("song",), "song_id", ("receive",)),
    "models": Channel("topic_models", ("model",), "kind", ("send", "receive")),
}


def asyncapi_document(settings: Settings) -> dict[str, Any]:
    """Return the document as JSON objects; topics are named and laid out as `settings` say."""
    plans = {plan.name: plan for plan in plan_topics(settings)}
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    messages: dict[str, Any] = {}
    schemas: dict[str, Any] = {}
    for name, channel in CHANNELS.items():
        plan = plans[getattr(settings, channel.setting)]
        for schema_name in channel.schemas:
            schema = _schema(schema_name, schemas)
            messages[schema_name] = _message(schema_name, schema, channel.key)
        channels[name] = {
            "address": plan.name,
            "messages": {one: {"$ref": f"#/components/messages/{one}"} for one in channel.schemas},
            "bindings": {
                "kafka": {
                    "topic": plan.name,
                    "partitions": plan.partitions,
                    "replicas": plan.replication,
                    "topicConfiguration": _topic_configuration(plan.configs()),
                }
            },
        }
        for action in channel.actions:
            operations[f"{action}{name[0].upper()}{name[1:]}"] = {
                "action": action,
                "channel": {"$ref": f"#/channels/{name}"},
            }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Segue",
            "version": version("segue"),
            "description": "Plays in, recommendations out. Delivery is at least once.",
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages, "schemas": schemas},
    }


def _schema(name: str, schemas: dict[str, Any]) -> dict[str, Any]:
    """Add a JSON Schema and its definitions to the components; return it as they have it."""
    text = (files("segue.stream") / "schemas" / f"{name}.json").read_text("utf-8")
    schema = json.loads(text.replace('"#/$defs/', f'"#/components/schemas/{name}-'))
    for definition, meaning in schema.pop("$defs", {}).items():
        schemas[f"{name}-{definition}"] = meaning
    # References count from the document, not from a schema with an $id.
    kept = {key: value for key, value in schema.items() if key not in ("$schema", "$id")}
    schemas[name] = kept
    return kept


def _message(name: str, schema: dict[str, Any], key: str) -> dict[str, Any]:
    reference = {"$ref": f"#/components/schemas/{name}"}
    content = (
        {
            "contentType": "application/octet-stream",
            "headers": reference,
            "payload": BYTES_AS_RECEIVED,
        }
        if name == "rejected"
        else {"payload": reference}
    )
    return {
        "name": name,
        "title": schema["title"],
        **content,
        "bindings": {"kafka": {"key": {"type": "string", "description": key}}},
    }


def _topic_configuration(configs: dict[str, str]) -> dict[str, Any]:
    configuration: dict[str, Any] = {"cleanup.policy": [configs["cleanup.policy"]]}
    if "retention.ms" in configs:
        configuration["retention.ms"] = int(configs["retention.ms"])
    return configuration


def render(settings: Settings) -> str:
    """Return the document as text."""
    return json.dumps(asyncapi_document(settings), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    print(render(Settings.model_construct()), end="")
