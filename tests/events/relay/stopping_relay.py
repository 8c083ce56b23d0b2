"""Relays that are killed, one at each step, as a power cut would stop them.

Run as `python -m tests.events.relay.stopping_relay`.
"""

import os
import signal
import threading
from collections import Counter
from collections.abc import Sequence
from typing import Any, NoReturn

from events import heartbeat, publish, transaction
from events.database import database, use
from events.messages import Message
from events.relay import loop
from events.relay.round import Round, do_round
from events.transport import CeleryTransport
from tests.events.live_app import Pinged, app

# A new delivery is marked as sent by the fan-out; one of the backlog is marked later.
STEPS = (
    "before the fan-out commits",
    "after the fan-out",
    "before the mark commits",
    "after the mark",
    "amid the messages",
    "after the messages",
)
UNCOMMITTED, UNSENT, BACKLOG = STEPS[0:3:2], STEPS[1:4:2], STEPS[2:4]
EACH = 6  # pings before each kill
SLOTS = 30  # of a worker that is not there: the window has room for the pings of every step


def die() -> NoReturn:
    """Kill this process."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("killed")


def do_round_and_die(*arguments: Any, **named: Any) -> Round:
    """Do a round of the relay, and kill this process before its commit if there was work."""
    done = do_round(*arguments, **named)
    if done.messages:
        die()
    return done


class StoppingTransport(CeleryTransport):
    """A transport that kills its process before, amid or after the first messages."""

    step = ""

    def send(self, messages: Sequence[Message]) -> NoReturn:
        """Send as many messages as the step allows."""
        assert len(messages) >= EACH, messages
        sent = 0 if self.step in UNSENT else len(messages)
        super().send(messages[: sent // 2 if self.step == "amid the messages" else sent])
        die()


def run_and_be_killed(step: str) -> None:
    """Run a relay that is killed at `step`, in a fork, because imports take seconds."""
    if child := os.fork():
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status), (
            f"the relay that was to be killed {step} ended by itself with {status}"
        )
        return
    StoppingTransport.step = step
    if step in UNCOMMITTED:
        loop.do_round = do_round_and_die
    loop.Relay(StoppingTransport(app)).run(threading.Event())


def main() -> None:
    """Publish some pings and run a relay that is killed, for each step."""
    for number, step in enumerate(STEPS):
        heartbeat.beat("many", "worker", ["pings"], slots=SLOTS)
        with transaction() as session:
            publish(session, *[Pinged(number=number * EACH + each) for each in range(EACH)])
            if step in BACKLOG:
                do_round(session, Counter(), can_send=False)
        database().close()
        use(None)
        run_and_be_killed(step)
    heartbeat.leave("many")


if __name__ == "__main__":
    main()
