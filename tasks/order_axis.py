"""The time axis of an order's trace, and the words for what is cut short on it."""

from events.traces import axis
from events.traces.axis import Axis
from tasks.durations import duration_text
from tasks.order_trace_rows import OrderTrace

MAX_NAMED = 3  # cuts that are told one by one


def of(trace: OrderTrace) -> Axis:
    """Return the axis over all times of a trace."""
    times = {trace.placed_at, *(event.at for event in trace.events)}
    for event in trace.events:
        for delivery in event.deliveries:
            for segment in delivery.segments:
                times |= {segment.start, segment.end}
    return axis.over(times)


def cuts_text(line: Axis) -> str:
    """Say what is cut short; empty if nothing is."""
    cuts = line.cuts
    if len(cuts) > MAX_NAMED:
        total = duration_text(sum(each.seconds for each in cuts))
        return f"{len(cuts)} waits are cut short, {total} in all"
    named = [
        f"{duration_text(each.seconds)} from {each.start:%H:%M:%S} to {each.end:%H:%M:%S} UTC"
        for each in cuts
    ]
    return f"{' and '.join(named)} {'is' if len(cuts) == 1 else 'are'} cut short" if cuts else ""
