"""A worker that stops while a task is on its way to a child."""

import os
import signal
from collections import Counter

import psutil
import pytest

from tests.events.stack import Stack
from tests.servers import wait_until

pytestmark = pytest.mark.system


def test_a_child_that_got_a_task_as_its_worker_stopped_ends_with_it(stack: Stack) -> None:
    worker = stack.work("pings", PATIENT_CHILDREN="1")
    stack.relay()
    stack.ping(1)
    wait_until(lambda: stack.effects("answered") == Counter([1]), what="a ping")
    parent = psutil.Process(worker.pid)
    [child] = parent.children()
    child.suspend()
    written = parent.io_counters().write_chars
    stack.ping(2)
    wait_until(lambda: parent.io_counters().write_chars > written, what="the task to be written")

    os.kill(worker.pid, signal.SIGTERM)  # alone: the child goes on being stopped
    wait_until(lambda: not stack.consumes("pings0@test"), what="the consumer to stop")
    child.resume()
    wait_until(lambda: not worker.running(), what="the end of the worker")

    assert stack.effects("answered") == Counter([1, 2])
