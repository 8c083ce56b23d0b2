"""The AsyncAPI document: well-formed by the rules of version 3.0.0, and true of what is written.

The rules are those of https://www.asyncapi.com/docs/reference/specification/v3.0.0 for the objects
that the document has: allowed and required names, keys, references, and where they may lead.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from uuid_utils.compat import uuid7

import tasks.celery  # noqa: F401 - every service, with its subscriptions
from events import Event, clock, event
from events.admin import event_catalog
from events.contracts.asyncapi import document
from events.contracts.files import read_all
from events.envelope import Actor, Envelope
from events.event import stored_as
from tests.tree import ROOT

KEY = r"^[A-Za-z0-9._-]+$"
REFERENCE = {
    "type": "object",
    "required": ["$ref"],
    "properties": {"$ref": {"pattern": "^#/"}},
    "additionalProperties": False,
}
RULES = {
    "type": "object",
    "required": ["asyncapi", "info"],
    "additionalProperties": False,
    "properties": {
        "asyncapi": {"const": "3.0.0"},
        "info": {
            "required": ["title", "version"],
            "properties": {
                name: {"type": "string"} for name in ("title", "version", "description")
            },
            "additionalProperties": False,
        },
        "defaultContentType": {"type": "string"},
        "channels": {
            "propertyNames": {"pattern": KEY},
            "additionalProperties": {
                "properties": {
                    "address": {"type": "string"},
                    "description": {"type": "string"},
                    "messages": {
                        "propertyNames": {"pattern": KEY},
                        "additionalProperties": REFERENCE,
                    },
                },
                "additionalProperties": False,
            },
        },
        "operations": {
            "propertyNames": {"pattern": KEY},
            "additionalProperties": {
                "required": ["action", "channel"],
                "properties": {
                    "action": {"enum": ["send", "receive"]},
                    "channel": REFERENCE,
                    "summary": {"type": "string"},
                    "messages": {"type": "array", "items": REFERENCE},
                },
                "additionalProperties": False,
            },
        },
        "components": {
            "properties": {
                "messages": {
                    "propertyNames": {"pattern": KEY},
                    "additionalProperties": {
                        "properties": {
                            "payload": {"type": "object"},
                            **{
                                name: {"type": "string"}
                                for name in ("name", "title", "summary", "contentType")
                            },
                        },
                        "additionalProperties": False,
                    },
                },
                "schemas": {"propertyNames": {"pattern": KEY}},
            },
            "additionalProperties": False,
        },
    },
}


@pytest.fixture(scope="module")
def described() -> Any:
    return document(event_catalog.of_code(), title="Tidings")


def references(value: Any) -> Iterator[str]:
    """Yield every reference in the document."""
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from references(each)


def found(described: Any, reference: str) -> Any:
    for part in reference.removeprefix("#/").split("/"):
        described = described[part]
    return described


def test_the_document_follows_the_rules_of_version_3(described: Any) -> None:
    jsonschema.validate(described, RULES)


def test_each_reference_leads_somewhere(described: Any) -> None:
    assert len(list(references(described))) > 50
    for reference in references(described):
        assert found(described, reference) is not None


def test_the_messages_of_an_operation_are_those_of_its_channel(described: Any) -> None:
    for operation in described["operations"].values():
        for message in operation["messages"]:
            assert message["$ref"].startswith(operation["channel"]["$ref"] + "/messages/")


def test_each_schema_is_one_that_asyncapi_can_read(described: Any) -> None:
    for schema in described["components"]["schemas"].values():
        jsonschema.Draft7Validator.check_schema(schema)
        assert not re.search(r'"(prefixItems|\$defs|\$dynamicRef)"', json.dumps(schema))


def test_every_version_is_a_message_and_every_subscription_an_operation(described: Any) -> None:
    created = described["channels"]["order.created"]
    operations = described["operations"]

    assert list(created["messages"]) == ["order.created.v1", "order.created.v2"]
    assert operations["web.publish.order.created"]["action"] == "send"
    assert operations["payment.charge_order.order.created"] == {
        "action": "receive",
        "channel": {"$ref": "#/channels/order.created"},
        "summary": "payment.charge_order handles it on queue payment",
        "messages": [{"$ref": "#/channels/order.created/messages/order.created.v2"}],
    }


def test_a_golden_event_in_its_envelope_is_the_message_that_the_document_describes(
    described: Any,
) -> None:
    for contract in read_all(ROOT / "contracts"):
        event_class = stored_as(contract.event_type, contract.version)
        assert event_class is not None
        golden = json.loads((ROOT / "contracts/golden" / contract.path.name).read_text())
        envelope = Envelope(
            id=uuid7(),
            type=contract.event_type,
            version=contract.version,
            source=event_class.source,
            time=clock.now(),
            subject="ORD-1",
            correlation_id=uuid7(),
            causation_id=uuid7(),
            actor=Actor(user="ada", tenant="north", ip="192.0.2.7", agent="curl"),
            traceparent=f"00-{'1' * 32}-{'2' * 16}-01",
            data=golden["stored"],
        )
        written = json.loads(envelope.to_json())
        name = f"{contract.event_type}.v{contract.version}"
        payload = described["components"]["messages"][name]["payload"]
        schema = {**payload, "components": described["components"]}
        jsonschema.validate(written, schema)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(written | {"data": {"another": 1}}, schema)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(written | {"dataversion": "9"}, schema)


def test_schemas_of_one_name_in_two_modules_are_kept_apart() -> None:
    listed = document([], title="x")["components"]["schemas"]

    assert all(re.fullmatch(KEY, name) for name in listed)


def test_names_that_are_no_keys_are_kept_apart_and_described_by_the_rules(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(event, "_classes", {})
    types = {"Large": "größe", "Greeting": "grüße", "Envelope": "a/<b>"}
    for name, event_type in types.items():
        fields = {"__annotations__": {name.lower(): str}}
        type(name, (Event,), fields, type=event_type, source="the shop")

    described = document([], title="x")

    jsonschema.validate(described, RULES)
    addresses = [each["address"] for each in described["channels"].values()]
    assert sorted(addresses) == sorted(types.values())
    assert len(described["operations"]) == 3
    for reference in references(described):
        assert found(described, reference) is not None
    schemas = described["components"]["schemas"]
    assert schemas["Envelope"]["properties"].keys() == {"envelope"}
    assert "specversion" in schemas["tidings.Envelope"]["properties"]
