"""The envelope as a CloudEvent and as JSON."""

from datetime import UTC, datetime

from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given
from hypothesis import strategies as st
from uuid_utils.compat import uuid7

from events import Actor, Envelope

word = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=20
)
json_data = st.dictionaries(
    word,
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | word | st.lists(word, max_size=3),
    max_size=4,
)
envelopes = st.builds(
    Envelope,
    id=st.uuids(),
    type=st.just("order.created"),
    version=st.integers(1, 99),
    source=st.sampled_from(["web", "orders"]),
    time=st.datetimes(timezones=st.just(UTC)),
    subject=st.none() | word,
    correlation_id=st.uuids(),
    causation_id=st.none() | st.uuids(),
    actor=st.builds(
        Actor,
        user=st.none() | word,
        tenant=st.none() | word,
        ip=st.none() | word,
        agent=st.none() | word,
    ),
    traceparent=st.none() | st.just("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    data=json_data,
)


@given(envelopes)
def test_an_envelope_is_unchanged_by_the_round_trip_through_a_cloudevent(
    envelope: Envelope,
) -> None:
    assert Envelope.from_cloudevent(envelope.to_cloudevent()) == envelope


@given(envelopes)
def test_an_envelope_is_unchanged_by_the_round_trip_through_json(envelope: Envelope) -> None:
    event = JSONFormat().read(CloudEvent, envelope.to_json())

    assert isinstance(event, CloudEvent)
    assert Envelope.from_cloudevent(event) == envelope


def test_a_cloudevent_has_the_standard_attributes_and_carries_the_rest_as_extensions() -> None:
    event_id, time = uuid7(), datetime(2026, 5, 4, tzinfo=UTC)
    envelope = Envelope(
        id=event_id,
        type="order.created",
        version=2,
        source="web",
        time=time,
        subject="ORD-1042",
        correlation_id=event_id,
        causation_id=None,
        traceparent=None,
        actor=Actor(user="ada", tenant="acme"),
        data={"a": 1},
    )
    event = envelope.to_cloudevent()

    assert event.get_data() == {"a": 1}
    assert event.get_attributes() == {
        "id": str(event_id),
        "source": "/web",
        "type": "order.created",
        "specversion": "1.0",
        "time": time,
        "subject": "ORD-1042",
        "datacontenttype": "application/json",
        "dataversion": "2",
        "correlationid": str(event_id),
        "user": "ada",
        "tenant": "acme",
    }
