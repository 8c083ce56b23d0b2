"""The supervisor by itself, in a process of its own, because it takes over signals and children."""

import subprocess
import sys

from tests.servers import HANG

UNDER_A_LIMIT = f"""
import io, os, resource, signal
from tidings.up.output import Output
from tidings.up.program import Program, Stage
from tidings.up.supervisor import Supervisor

HANG, UNUSED_USER = {HANG}, 54321
if os.geteuid() == 0:
    os.setuid(UNUSED_USER)  # root has no limit
before = resource.getrlimit(resource.RLIMIT_NPROC)
stream = io.BytesIO()
supervisor = Supervisor(Output(stream, terminal=False))

def said(words, times=1):
    reached = supervisor.until(lambda: stream.getvalue().count(words) >= times, within=HANG)
    assert reached, stream.getvalue()

supervisor.start(Program("web", lambda: print("serving"), Stage.WEB))
resource.setrlimit(resource.RLIMIT_NPROC, (0, before[1]))
said(b"up  | web could not be started: Resource temporarily unavailable; restarting it in 1 s")
once = supervisor.finish(Program("once", lambda: None, Stage.WEB))
said(b"once could not be started: Resource temporarily unavailable\\n")
resource.setrlimit(resource.RLIMIT_NPROC, before)
said(b"serving", times=2)
os.kill(os.getpid(), signal.SIGTERM)
supervisor.until(lambda: False, within=HANG)
assert supervisor.stopping
supervisor.drain()
supervisor.close()
print(once)
"""


def test_a_program_that_the_system_has_no_room_for_is_started_later_and_ends_nothing():
    ran = subprocess.run(
        [sys.executable, "-c", UNDER_A_LIMIT], capture_output=True, text=True, check=False
    )

    assert (ran.returncode, ran.stdout) == (0, "1\n"), ran.stderr
