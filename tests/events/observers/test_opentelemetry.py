"""OpenTelemetry: one trace from the request through the event to its handling and the calls."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    SimpleSpanProcessor,
    SpanExporter,
    SpanExportResult,
)
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from sqlalchemy import event

from events import Context, Database, acting, observers, publish, transaction
from events.dispatch import dispatch
from events.errors import BrokerDown, QueueUnavailable
from events.messages import Message
from events.observers.opentelemetry import OpenTelemetry
from events.relay.loop import Relay
from events.subscriptions import Subscription
from events.testing import Bus, InMemoryTransport
from tests.events.sample import SECRET, Noted, Replied, new_subscription, note, raising, send
from tests.servers import HANG
from tests.tree import ROOT

INCOMING = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    observer = OpenTelemetry(lambda: provider)
    observers.add(observer)
    yield exporter
    observers.remove(observer)


def by_name(exporter: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    return {each.name: each for each in exporter.get_finished_spans()}


def parent(span: ReadableSpan) -> int | None:
    return span.parent.span_id if span.parent else None


def own(span: ReadableSpan) -> int:
    return span.get_span_context().span_id


CALLING = new_subscription(
    lambda event, session, answer: Replied(text=answer), call=lambda event, key: "answered"
)


def test_one_trace_leads_from_the_request_to_the_calls_and_what_they_cause(
    any_database: Database, spans: InMemorySpanExporter
):
    with Bus(subscriptions=[CALLING]) as bus:
        with observers.requesting("POST /notes", INCOMING), transaction() as session:
            publish(session, Noted(text="a"))
        bus.drain()

    found = by_name(spans)
    request, published = found["POST /notes"], found["publish sample.noted"]
    process, call = found["process notes"], found["call notes.mark"]
    caused = found["publish sample.replied"]
    assert {each.get_span_context().trace_id for each in found.values()} == {
        int(INCOMING.split("-")[1], 16)
    }
    assert parent(request) == int(INCOMING.split("-")[2], 16)
    assert [parent(each) for each in (published, process, call, caused)] == [
        own(request),
        own(published),
        own(published),
        own(process),
    ]
    assert [each.context.span_id for each in process.links] == [own(published)]
    assert [each.kind for each in (request, published, process, call)] == [
        SpanKind.SERVER,
        SpanKind.PRODUCER,
        SpanKind.CONSUMER,
        SpanKind.CLIENT,
    ]
    assert process.attributes is not None
    assert process.attributes["messaging.operation.type"] == "process"
    assert process.attributes["messaging.destination.subscription.name"] == "notes.mark"


def test_each_attempt_has_a_span_and_a_failed_one_tells_the_class_of_its_error_alone(
    database: Database, spans: InMemorySpanExporter
):
    failing = new_subscription(raising(lambda: ValueError(f"{SECRET} is unknown")))
    with Bus(subscriptions=[failing], fail_fast=False) as bus:
        bus.publish(Noted(text=SECRET), subject=SECRET)
        bus.drain()
        bus.advance(60)

    attempts = [each for each in spans.get_finished_spans() if each.name == "process notes"]
    assert [each.status.status_code for each in attempts] == [StatusCode.ERROR] * 2
    assert [dict(each.attributes or {})["error.type"] for each in attempts] == ["ValueError"] * 2
    assert SECRET not in "".join(each.to_json() for each in spans.get_finished_spans())


def test_the_events_of_a_batch_are_linked_to_the_one_call_that_handles_them(
    database: Database, spans: InMemorySpanExporter
):
    def handle(events: list[Noted], session: object) -> None:
        """Handle all."""

    batched = Subscription(
        "notes.batch", "notes", (Noted,), handle, None, CALLING.retry, 10, takes_batch=True
    )
    with Bus(subscriptions=[batched]) as bus:
        bus.publish(Noted(text="a"))
        bus.publish(Noted(text="b"))
        bus.drain()

    published = [each for each in spans.get_finished_spans() if each.kind == SpanKind.PRODUCER]
    process = by_name(spans)["process notes"]
    assert [each.context.span_id for each in process.links] == [own(each) for each in published]


def test_a_message_of_the_relay_is_a_span_between_its_events_and_their_handling(
    any_database: Database, spans: InMemorySpanExporter
):
    [message] = relayed(InMemoryTransport(), "a", "b")
    dispatch(CALLING, message.event_ids, worker="w")

    first, second = (each for each in spans.get_finished_spans() if "sample.noted" in each.name)
    sent, process = by_name(spans)["send notes"], by_name(spans)["process notes"]
    assert (sent.kind, parent(sent), parent(process)) == (SpanKind.CLIENT, own(first), own(second))
    assert [each.context.span_id for each in sent.links] == [own(first), own(second)]
    assert dict(first.attributes or {})["messaging.operation.type"] == "create"
    assert dict(sent.attributes or {}) == {
        "messaging.system": "tidings",
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.destination.name": "notes",
        "messaging.destination.subscription.name": "notes.mark",
        "messaging.batch.message_count": 2,
        "tidings.task_id": message.id,
    }
    times = (first.end_time, sent.start_time, sent.end_time, process.start_time)
    assert list(times) == sorted(each or 0 for each in times)


@pytest.mark.parametrize(("down", "error"), [(True, "BrokerDown"), (False, "QueueUnavailable")])
def test_a_message_that_the_broker_refuses_is_a_span_with_the_class_of_the_error(
    down: bool, error: str, database: Database, spans: InMemorySpanExporter
):
    transport = Refusing(down=down)
    assert relayed(transport, "a") == []

    sent = next(each for each in spans.get_finished_spans() if each.name == "send notes")
    assert sent.status.status_code == StatusCode.ERROR
    assert dict(sent.attributes or {})["error.type"] == error


class Refusing(InMemoryTransport):
    """A broker that can be reached, and refuses each message: all queues, or this one."""

    def __init__(self, *, down: bool) -> None:
        super().__init__()
        self.full_queues, self._refuses_all = {"notes"}, down

    def send(self, messages: Sequence[Message]) -> dict[str, QueueUnavailable]:
        if self._refuses_all:
            raise BrokerDown("it accepts nothing")
        return super().send(messages)


def relayed(transport: InMemoryTransport, *texts: str) -> list[Message]:
    """Publish a note with each text, and let a relay send them; return its messages."""
    send(CALLING)
    note(*texts)
    relay = Relay(transport)
    relay.work()
    relay.work()
    return transport.sent


def test_without_a_tracer_the_relay_reads_no_trace(database: Database):
    statements: list[str] = []
    listening = (database.reader, "before_cursor_execute")

    def listen(*arguments: Any) -> None:
        statements.append(arguments[2])

    event.listen(*listening, listen)
    observers.add(watcher := observers.Observer())  # such as that of Sentry
    try:
        assert len(relayed(InMemoryTransport(), "a")) == 1
    finally:
        observers.remove(watcher)
        event.remove(*listening, listen)
    assert statements
    assert [each for each in statements if "traceparent" in each] == []


@pytest.mark.parametrize("traceparent", ["", "nonsense", INCOMING[:-1], INCOMING.replace("4", "g")])
def test_a_traceparent_that_is_none_begins_a_trace_of_its_own(
    traceparent: str, database: Database, spans: InMemorySpanExporter
):
    with Bus(subscriptions=[CALLING]) as bus:
        with acting(Context(traceparent=traceparent)), transaction() as session:
            publish(session, Noted(text="a"))
        bus.drain()

    assert bus.reports[0].outcomes[0].result == "handled"
    published = by_name(spans)["publish sample.noted"]
    assert (published.parent, own(published)) == (None, parent(by_name(spans)["process notes"]))


class Hanging(SpanExporter):
    """An exporter whose collector does not answer."""

    def __init__(self) -> None:
        self.reached, self.released = threading.Event(), threading.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.reached.set()
        self.released.wait(300)
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        self.released.wait(300)


def test_a_collector_that_hangs_holds_nothing_up(database: Database):
    hanging = Hanging()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(hanging, schedule_delay_millis=10))
    observer = OpenTelemetry(lambda: provider)
    observers.add(observer)
    try:
        with Bus(subscriptions=[CALLING]) as bus:
            bus.publish(Noted(text="a"))
            assert hanging.reached.wait(HANG)
            bus.publish(*[Noted(text=str(number)) for number in range(100)])
            bus.drain()
            assert {each.state for each in bus.deliveries()} == {"done"}
        observer.close()
    finally:
        observers.remove(observer)
        hanging.released.set()


_FORK = """
import os
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter
from events.dispatch import dispatch
from events.errors import BrokerDown, QueueUnavailable
from events.messages import Message
from events.observers.opentelemetry import OpenTelemetry
from events.relay.loop import Relay

def provider():
    made = TracerProvider(shutdown_on_exit=False)
    made.add_span_processor(BatchSpanProcessor(ConsoleSpanExporter(formatter=lambda s: s.name)))
    return made

observer = OpenTelemetry(provider)
with observer.requesting("parent ", None):
    pass
if child := os.fork():
    os.waitpid(child, 0)
else:
    with observer.requesting("child ", None):
        pass
observer.close()
os._exit(0)
"""


def test_a_forked_process_sends_its_own_spans_and_only_those():
    run = subprocess.run(
        [sys.executable, "-c", _FORK],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=HANG,
        check=False,
    )

    assert (run.returncode, run.stdout.split()) == (0, ["child", "parent"]), run.stderr
