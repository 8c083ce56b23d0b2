"""OpenTelemetry: spans of requests, published events, messages, handling and calls outside.

The envelope carries the trace from the transaction that published an event to the workers. The
names follow the semantic conventions of messaging:
https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/
"""

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from uuid import UUID

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, Span, SpanKind, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from events.envelope import Envelope
from events.messages import Message
from events.observers import Observer, Sending

CLOSE_TIMEOUT = 2.0  # seconds
_HEADER = "traceparent"
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_SCHEMES = ("http://", "https://")
_propagator = TraceContextTextMapPropagator()


def provider_of_environment() -> TracerProvider:
    """Return a provider that the variables `OTEL_*` configure; its own thread sends the spans."""
    provider = TracerProvider(shutdown_on_exit=False)  # it would wait for a collector that hangs
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


class OpenTelemetry(Observer):
    """The tracer of this process, made on its first span: a thread does not outlive a fork."""

    def __init__(
        self, provider: Callable[[], trace.TracerProvider] = provider_of_environment
    ) -> None:
        self._make, self._lock = provider, threading.Lock()
        self._provider: trace.TracerProvider | None = None
        self._pid = 0

    @staticmethod
    def check() -> None:
        """Raise `ValueError` if the variables `OTEL_*` cannot configure a provider."""
        for name in _ENDPOINTS:
            if not (os.environ.get(name) or "http://").strip().lower().startswith(_SCHEMES):
                raise ValueError(f"{name} begins with neither http:// nor https://")
        provider_of_environment().shutdown()

    @contextmanager
    def requesting(self, name: str, traceparent: str | None) -> Iterator[None]:
        """Trace a web request, below the span of its client or of another instrumentation."""
        with self._span(name, SpanKind.SERVER, _parent(traceparent), {}):
            yield

    @contextmanager
    def publishing(
        self, event_type: str, event_id: UUID, traceparent: str | None
    ) -> Iterator[str | None]:
        """Trace a published event, and give its envelope the trace."""
        attributes = {
            "messaging.system": "tidings",
            "messaging.operation.name": "publish",
            "messaging.operation.type": "create",
            "messaging.destination.name": event_type,
            "messaging.message.id": str(event_id),
        }
        parent = _parent(traceparent)
        with self._span(f"publish {event_type}", SpanKind.PRODUCER, parent, attributes):
            carrier: dict[str, str] = {}
            _propagator.inject(carrier)
            yield carrier.get(_HEADER)

    @contextmanager
    def handling(
        self, subscription: str, queue: str, envelopes: Sequence[Envelope]
    ) -> Iterator[None]:
        """Trace the handling of an event as a child of the span that published it, and link both.

        The span of several events is a child of the first one's, and has a link to each.
        """
        attributes = _attributes(subscription, envelopes[0]) | {
            "messaging.operation.name": "process",
            "messaging.operation.type": "process",
            "messaging.destination.name": queue,
        }
        if len(envelopes) > 1:
            attributes["messaging.batch.message_count"] = len(envelopes)
        origins = _origins(each.traceparent for each in envelopes)
        origin, links = origins[0] if origins else None, _links(origins)
        with self._span(f"process {queue}", SpanKind.CONSUMER, origin, attributes, links):
            yield

    @contextmanager
    def calling(self, subscription: str, envelope: Envelope) -> Iterator[None]:
        """Trace the call outside that precedes the handling of an event."""
        attributes = _attributes(subscription, envelope)
        origin = _origin(envelope.traceparent)
        with self._span(f"call {subscription}", SpanKind.CLIENT, origin, attributes):
            yield

    def sent(self, sending: Sending) -> None:
        """Trace each message of the relay as a child of the span that published its first event.

        It has a link to the span of each event.
        """
        found = sending.traceparents()
        for message in sending.messages:
            origins = _origins(found.get(each) for each in message.event_ids)
            span = self._tracer().start_span(
                f"send {message.queue}",
                origins[0] if origins else None,
                SpanKind.CLIENT,  # not the producer: a worker continues the published event
                _message_attributes(message),
                _links(origins),
                start_time=sending.began,
            )
            if error := sending.refused.get(message.queue):
                _note_error(span, error)
            span.end()

    def close(self) -> None:
        """Send the spans that are left; a collector that hangs is left behind after seconds."""
        # Only providers of the SDK can. It is not shut down: it may be the application's.
        flush = getattr(self._provider, "force_flush", None)
        if flush is not None and self._pid == os.getpid():
            flushing = threading.Thread(target=flush, daemon=True)
            flushing.start()
            flushing.join(CLOSE_TIMEOUT)

    def _tracer(self) -> Tracer:
        if self._pid != os.getpid():
            with self._lock:
                if self._pid != os.getpid():
                    self._provider, self._pid = self._make(), os.getpid()
        assert self._provider is not None
        return self._provider.get_tracer("tidings")

    @contextmanager
    def _span(
        self,
        name: str,
        kind: SpanKind,
        parent: Context | None,
        attributes: Mapping[str, str | int],
        links: Sequence[Link] = (),
    ) -> Iterator[Span]:
        """Make a span current. An error is told by its class alone: its text may be personal."""
        tracer = self._tracer()
        with tracer.start_as_current_span(
            name,
            parent,
            kind,
            attributes,
            links,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield span
            except BaseException as error:
                _note_error(span, error)
                raise


def _note_error(span: Span, error: BaseException) -> None:
    span.set_attribute("error.type", type(error).__name__)
    span.set_status(StatusCode.ERROR)


def _parent(traceparent: str | None) -> Context | None:
    """Return the current context if there is a span in it, else that of a traceparent."""
    current = trace.get_current_span().get_span_context().is_valid
    return None if current else _origin(traceparent)


def _origin(traceparent: str | None) -> Context | None:
    """Return the context of a traceparent; `None` if it is none."""
    found = _propagator.extract({_HEADER: traceparent or ""}, Context())
    return found if trace.get_current_span(found).get_span_context().is_valid else None


def _origins(traceparents: Iterable[str | None]) -> list[Context]:
    return [found for each in traceparents if (found := _origin(each))]


def _links(origins: Iterable[Context]) -> list[Link]:
    return [Link(trace.get_current_span(each).get_span_context()) for each in origins]


def _message_attributes(message: Message) -> dict[str, str | int]:
    attributes: dict[str, str | int] = {
        "messaging.system": "tidings",
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.destination.name": message.queue,
        "messaging.destination.subscription.name": message.subscription,
        "tidings.task_id": message.id,
    }
    if len(message.event_ids) > 1:
        return attributes | {"messaging.batch.message_count": len(message.event_ids)}
    return attributes | {"messaging.message.id": str(message.event_ids[0])}


def _attributes(subscription: str, envelope: Envelope) -> dict[str, str | int]:
    return {
        "messaging.system": "tidings",
        "messaging.destination.subscription.name": subscription,
        "messaging.message.id": str(envelope.id),
        "messaging.message.conversation_id": str(envelope.correlation_id),
    }
