"""`tidings trace`: where the time of one order went."""

from dataclasses import asdict
from datetime import datetime

import click

from events import clock, reading
from events.inputs import escaped
from events.traces.axis import Axis
from events.traces.segments import Kind
from tasks import order_axis, order_trace
from tasks.order_trace_rows import DeliveryRow, EventRow, OrderTrace
from tidings.cli.encoding import echo
from tidings.cli.order_argument import find_order, order_argument
from tidings.cli.output import cell, json_option, print_json, print_table

WIDTH = 48  # characters of the time axis
MARKS = {"waiting": "-", "in flight": ">", "failed": "x", "handled": "=", "dead": "!"}
LEGEND = (
    "* critical path  - waiting  x failed attempt  = sent and handled  > in flight  "
    "! dead letter  u undoing a step  | event  : cut short"
)
_PATH_COLUMNS = ("took", "what", "kind", "text")


@click.command()
@order_argument
@json_option
def trace(order: str, *, as_json: bool) -> None:
    """Show where the time of an order went, by its number or id.

    Its events and deliveries stand on one time axis, with the path that took the time. A wait that
    is longer than all else together is cut short. What is open goes on until now.
    """
    with reading() as session:
        found = order_trace.of(session, find_order(session, order), now=clock.now())
    if as_json:
        print_json(asdict(found))
        return
    echo(escaped(f"{found.number}: {found.summary}"), bold=True)
    for wait in found.waits:
        echo(escaped(f"{wait.what} waits for {wait.waits_for}"))
    _print_path(found)
    _print_axis(found)


def _print_path(found: OrderTrace) -> None:
    echo("\ncritical path, the parts add up to the whole time", bold=True)
    rows = [(part.took, part.what, part.kind, part.text) for part in found.critical_path]
    print_table(_PATH_COLUMNS, rows, empty="the log has no event of this order")


def _print_axis(found: OrderTrace) -> None:
    line = order_axis.of(found)
    echo("\none time axis", bold=True)
    if cuts := order_axis.cuts_text(line):
        echo(cuts)
    rows: list[tuple[object, ...]] = []
    for event in found.events:
        rows.append(_event_row(event, line))
        rows += [_delivery_row(each, line) for each in event.deliveries]
    print_table(("", "what", "state", "axis", "took"), rows, empty="nothing")
    echo(LEGEND)
    left_out = ", ".join(f"{count} of {name}" for name, count in found.left_out.items())
    if left_out:
        echo(escaped(f"left out, because they do nothing for the order: {left_out}"))


def _event_row(event: EventRow, line: Axis) -> tuple[object, ...]:
    marks = _blank(line)
    marks[_column(line, event.at)] = "|"
    state = f"request {event.request}" if event.request else "event"
    name = f"{event.type} v{event.version}"
    return "*" if event.critical else "", name, state, "".join(marks), cell(event.at)


def _delivery_row(delivery: DeliveryRow, line: Axis) -> tuple[object, ...]:
    marks = _blank(line)
    waits_first = sorted(delivery.segments, key=lambda each: each.kind != Kind.WAITING)
    for each in waits_first:  # a short attempt shows beside a long wait
        mark = MARKS[each.kind]
        if mark == "=" and delivery.compensates:
            mark = "u"
        first, last = _column(line, each.start), _column(line, each.end)
        marks[first : last + 1] = mark * (last + 1 - first)
    state = delivery.state
    if delivery.compensates:
        state += f", undoes {delivery.undoes}" if delivery.undoes else ", nothing to undo"
    name = f"- {delivery.subscription}"
    return "*" if delivery.critical else "", name, state, "".join(marks), delivery.took


def _blank(line: Axis) -> list[str]:
    marks = ["."] * WIDTH
    for cut in line.cuts:
        for index in range(int(cut.left * WIDTH) + 1, int(cut.right * WIDTH)):
            marks[index] = ":"
    return marks


def _column(line: Axis, at: datetime) -> int:
    return min(WIDTH - 1, int(line.position(at) * WIDTH))
