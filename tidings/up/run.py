"""The whole run of `tidings up`, from the checks before the start to the last process's end."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

from events import clock
from tidings.up import broker, ports, readiness
from tidings.up.data_dir import CannotStart, Home
from tidings.up.output import Output
from tidings.up.process import adopt_orphans, save_memory
from tidings.up.processes import BROKER, WEB, Options, Sockets, environment, programs, workers
from tidings.up.program import Program, command
from tidings.up.supervisor import Supervisor
from tidings.up.warmup import freeze

_BROKER_PATIENCE = 60.0  # seconds; it reads its log of messages first


def run(options: Options) -> None:
    """Run everything until told to stop. Raises `CannotStart` when something is in the way."""
    home = Home(options.data_dir)
    with home.locked(), _listening(options) as sockets:
        options = replace(options, flower_port=ports.free(options.flower_port, "--flower-port"))
        own_broker, own_login = not os.environ.get("BROKER_URL"), not os.environ.get("OPS_AUTH")
        os.environ.update(environment(options, home, sockets))
        home.note("flower_url", os.environ["FLOWER_URL"])
        output = Output()
        if output.terminal:  # their output is a pipe, so they could not know that a person reads it
            os.environ.setdefault("LOG_FORMAT", "console")
        save_memory()
        adopt_orphans()
        supervisor = Supervisor(output, sockets.all)
        try:
            output.say("starting")
            if os.geteuid() == 0:
                output.say("running as root; a user of its own would be safer")
                warnings.filterwarnings(
                    "ignore", "You're running the worker with superuser privileges"
                )  # said above, once
            if _start(supervisor, home, sockets, options, own_broker=own_broker):
                _announce(output, home, sockets, options, own_login=own_login)
            supervisor.serve()
        finally:
            supervisor.drain()
            supervisor.close()


@contextmanager
def _listening(options: Options) -> Iterator[Sockets]:
    with ports.listen(options.port, "--port") as web:
        sockets = Sockets(web, None if os.environ.get("SMTP_URL") else ports.listen(0, ""))
        try:
            yield sockets
        finally:
            sockets.close()


def _start(
    supervisor: Supervisor, home: Home, sockets: Sockets, options: Options, *, own_broker: bool
) -> bool:
    """Start everything; whether an order would go through now. False when told to stop meanwhile."""
    freeze()
    counts = workers(options.scale)
    if own_broker:
        supervisor.start(Program("broker", broker.server(home), BROKER))
    migrated = supervisor.finish(Program("migrate", command("tidings", "migrate"), WEB))
    if migrated:
        raise CannotStart(
            f"the migration failed with exit code {migrated}; its own words are above"
        )
    if own_broker and not supervisor.until(
        lambda: broker.answers(home.broker_socket), within=_BROKER_PATIENCE
    ):
        if supervisor.stopping:
            return False
        raise CannotStart(
            f"the broker did not answer within {_BROKER_PATIENCE:g} s; its own words are above"
        )
    since = clock.now()
    for program in programs(home, sockets, counts):
        if not supervisor.stopping:
            supervisor.start(program)
    wait = partial(readiness.wait, sockets.url, counts, since)
    return supervisor.finish(Program("ready", wait, WEB)) == 0


def _announce(
    output: Output, home: Home, sockets: Sockets, options: Options, *, own_login: bool
) -> None:
    login = (
        f"login {os.environ['OPS_AUTH']} (kept in {home.folder / 'ops_auth'})"
        if own_login
        else "login as in OPS_AUTH"
    )
    output.announce(f"ready: {sockets.url}")
    output.announce(f"ops:    {sockets.url}/ops   {login}")
    output.announce(f"flower: {os.environ['FLOWER_URL']}   the same login")
