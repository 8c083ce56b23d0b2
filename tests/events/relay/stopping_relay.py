"""Relays that are killed, one at each step, as a power cut would stop them.

Run as `python -m tests.events.relay.stopping_relay`.
"""

import os
import signal
import threading
from collections.abc import Callable, Sequence
from typing import Any

from events import publish, transaction
from events.database import database, use
from events.messages import Message
from events.relay import loop
from events.transport import CeleryTransport
from tests.events.live_app import Pinged, app

STEPS = (
    "before the fan-out commits",
    "after the fan-out",
    "before the mark commits",
    "after the mark",
    "amid the messages",
    "after the messages",
)

EACH = 6  # pings before each kill


def die(*_: object) -> None:
    """Kill this process."""
    os.kill(os.getpid(), signal.SIGKILL)


def then_die(work: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function so changed that the process is killed after a call that did some work."""

    def stopped(*arguments: Any, **named: Any) -> Any:
        if done := work(*arguments, **named):
            die()
        return done

    return stopped


class StoppingTransport(CeleryTransport):
    """A transport that kills its process before, amid or after the first messages."""

    step = ""

    def send(self, messages: Sequence[Message]) -> None:
        """Send as many messages as the step allows."""
        sent = {"after the mark": 0, "amid the messages": len(messages) // 2}.get(
            self.step, len(messages)
        )
        super().send(messages[:sent])
        if self.step in STEPS[3:]:
            die()


def stop_at(step: str) -> None:
    """Let this process be killed at the step."""
    StoppingTransport.step = step
    names = {
        "before the fan-out commits": "fan_out",
        "after the fan-out": "due_times",
        "before the mark commits": "mark_due_as_sent",
    }
    if name := names.get(step):
        setattr(loop, name, then_die(getattr(loop, name)))


def run_and_be_killed(step: str) -> None:
    """Run a relay that is killed at `step`, in a fork, because imports take seconds."""
    if child := os.fork():
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status), (
            f"the relay that was to be killed {step} ended by itself with {status}"
        )
        return
    stop_at(step)
    loop.Relay(StoppingTransport(app)).run(threading.Event())


def main() -> None:
    """Publish some pings and run a relay that is killed, for each step."""
    for number, step in enumerate(STEPS):
        with transaction() as session:
            publish(session, *[Pinged(number=number * EACH + each) for each in range(EACH)])
        database().close()
        use(None)
        run_and_be_killed(step)


if __name__ == "__main__":
    main()
