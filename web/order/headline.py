"""The headline of an order's page: in words of the shop for customers, in states for operators."""

from dataclasses import dataclass

from web.order.status import Pill, Status
from web.order.trace import Trace

LATE = {
    "payment": "The payment takes longer than usual.",
    "shipping": "The carrier is late to collect it.",
    "inventory": "Setting the items aside takes longer than usual.",
    "orders": "It takes longer than usual.",
}
BY_TONE = ("bad", "wait", "busy", "done")  # the worst first


@dataclass(frozen=True)
class Headline:
    """One sentence, the line under it, and the tone of its shape."""

    title: str
    lead: str
    tone: str


def for_operator(number: str, pills: list[Pill], cancellation: str) -> Headline:
    """Return the states of the order, with the tone of the worst."""
    tone = next((each for each in BY_TONE if each in {pill.tone for pill in pills}), "todo")
    return Headline(f"{number}: {', '.join(pill.text for pill in pills)}", cancellation, tone)


def for_customer(status: Status, trace: Trace, cancellation: str) -> Headline:
    """Return the state of the order without a word of how the shop is built."""
    if status.status == "cancelled":
        return Headline("Your order is cancelled.", cancellation, "todo")
    if status.status == "shipped":
        return Headline("Shipped. It is on its way to you.", "", "done")
    done = "Paid and packed." if status.status == "confirmed" else "Placed."
    for queue, late in LATE.items():
        if worst := trace.worst_delivery(queue):
            next_step = (
                "We are looking into it." if worst.state == "dead" else "We try again by ourselves."
            )
            return Headline(f"{done} {late}", f"You need not do anything. {next_step}", "wait")
    doing = "It goes to the carrier." if status.status == "confirmed" else "We are processing it."
    return Headline(f"{done} {doing}", "You need not do anything. We will mail you.", "busy")
