"""The encoding of task messages and the check of those that arrive."""

import json
from contextlib import suppress
from uuid import UUID, uuid4

import pytest
from celery import Celery
from hypothesis import given
from hypothesis import strategies as st

from events.messages import Message
from events.transport.protocol import InvalidMessage, encode, validate, without_foreign_headers
from tests.events.transport.malformed import WRONG_BODIES, WRONG_HEADERS, Malformed

LABEL = "order.created ORD-1042, 36 more"


def message(*ids: UUID) -> Message:
    return Message(
        id="m:inventory.reserve_stock:1",
        subscription="inventory.reserve_stock",
        queue="inventory",
        event_ids=ids,
        retries=2,
        label=LABEL,
    )


def test_there_are_more_than_forty_malformed_messages_to_try() -> None:
    assert len(WRONG_HEADERS) + len(WRONG_BODIES) >= 40


@pytest.mark.parametrize("bad", WRONG_HEADERS, ids=lambda bad: bad.wrong)
def test_a_header_that_could_end_celery_is_named(bad: Malformed) -> None:
    with pytest.raises(InvalidMessage, match=r"^header "):
        validate(bad.headers, json.loads(bad.body))


@pytest.mark.parametrize("bad", WRONG_BODIES, ids=lambda bad: bad.wrong)
def test_a_body_without_a_list_of_event_ids_is_invalid(bad: Malformed) -> None:
    with pytest.raises(InvalidMessage, match=r"^(body|arguments) "):
        validate(bad.headers, json.loads(bad.body))


@pytest.mark.parametrize("headers", [None, [], 5, "text"])
def test_headers_that_are_no_table_are_invalid(headers: object) -> None:
    with pytest.raises(InvalidMessage, match="headers are not a table with names that are text"):
        validate(headers, [])


@given(
    st.lists(st.uuids(), min_size=1, max_size=5),
    st.integers(0, 100),
    st.text(st.characters(codec="utf-8"), max_size=300),
)
def test_every_message_that_we_encode_is_valid(ids: list[UUID], retries: int, label: str) -> None:
    body, headers = encode(
        Message("m", "email.thank", "email", tuple(ids), retries, label), origin="relay@host"
    )

    validate(headers, json.loads(body))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
)


@given(
    st.dictionaries(
        st.sampled_from(
            ["task", "id", "retries", "eta", "timelimit", "stamps", "x-death", "shadow"]
        ),
        json_values,
    )
    | json_values,
    json_values,
)
def test_nothing_that_json_can_hold_makes_the_check_itself_fail(
    headers: object, payload: object
) -> None:
    with suppress(InvalidMessage):
        validate(headers, payload)


def test_what_brokers_and_celery_add_to_the_headers_does_no_harm() -> None:
    body, headers = encode(message(uuid4()), origin="test")
    by_rabbitmq: dict[str, object] = {
        "x-delivery-count": 3,
        "x-death": [{"count": 1}],
        "redelivered": True,
    }
    by_apply_async: dict[str, object] = {
        "stamps": {},
        "stamped_headers": None,
        "group_index": None,
        "replaced_task_nesting": 0,
    }

    by_instrumentation: dict[str, object] = {
        "traceparent": "none that one could read",
        "sentry-trace": 5,
        "baggage": ["a"],
        "headers": {"sentry-trace": "x"},
    }

    validate(headers | by_rabbitmq | by_apply_async | by_instrumentation, json.loads(body))

    kept = without_foreign_headers(headers | by_rabbitmq | by_instrumentation)
    assert kept == headers | by_rabbitmq | {"headers": {"sentry-trace": "x"}}


def test_a_task_message_holds_ids_and_a_label_and_nothing_else_of_the_event() -> None:
    event_id = uuid4()

    body, headers = encode(message(event_id), origin="relay@host")

    assert json.loads(body)[:2] == [[[str(event_id)]], {}]
    assert (headers["task"], headers["id"], headers["retries"]) == (
        "inventory.reserve_stock",
        "m:inventory.reserve_stock:1",
        2,
    )
    assert (headers["argsrepr"], headers["kwargsrepr"]) == (LABEL, "{}")


def test_the_encoding_is_the_one_that_celery_makes() -> None:
    ours = message(uuid4(), uuid4())
    app = Celery("protocol", set_as_current=False)
    theirs = app.amqp.as_task_v2(
        ours.id,
        ours.subscription,
        ([str(event_id) for event_id in ours.event_ids],),
        {},
        retries=ours.retries,
        argsrepr=ours.label,
        origin="relay@host",
        ignore_result=True,
    )

    body, headers = encode(ours, origin="relay@host")

    assert json.loads(body) == json.loads(json.dumps(theirs.body))
    assert headers.items() <= theirs.headers.items()
    assert not any(theirs.headers[name] for name in theirs.headers.keys() - headers.keys())
