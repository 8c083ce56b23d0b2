"""The run of `tidings up`, from the checks before the start to the end of the last process."""

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

from events import clock
from events.environment import read_secret_files
from tasks.gateways import pretended
from tasks.ops_login import flower_logins
from tidings.all_settings import forget_empty_variables, require_all_valid
from tidings.up import allocator, broker, ports, readiness, restart
from tidings.up.data_dir import CannotStart, DataDir
from tidings.up.earlier_database import refuse_earlier_database
from tidings.up.output import Output
from tidings.up.private_files import UMASK
from tidings.up.process import adopt_orphans
from tidings.up.processes import Options, Sockets, environment, programs, worker_counts
from tidings.up.program import Program, Stage, command, executable
from tidings.up.restart import Handover
from tidings.up.supervisor import Supervisor
from tidings.up.warmup import freeze

STARTUP_TIMEOUT = 60.0  # seconds for the broker, which first loads its append-only file


def run(options: Options) -> None:
    """Run everything until SIGINT, SIGTERM or SIGHUP.

    Raises `CannotStart`, and `InvalidSettings`.
    """
    os.umask(UMASK)  # of every process that it starts, so that no other user reads their files
    forget_empty_variables()
    before = restart.take_handover()
    as_typed = dict(os.environ)
    require_all_valid()
    read_secret_files()
    refuse_earlier_database(options.data_dir)
    after = _run(options, DataDir(options.data_dir), before)
    if after:
        restart.execute_again(after, as_typed)


def _run(options: Options, data_dir: DataDir, before: Handover | None) -> Handover | None:
    """Run everything; return what the next program keeps if a restart was requested."""
    with (
        data_dir.locked(),
        _listening(options, before) as sockets,
        restart.listening(data_dir) as requests,
    ):
        port = (
            ports.find_again(before.flower_port)
            if before
            else ports.find_free(options.flower_port, "--flower-port")
        )
        options = replace(options, flower_port=port)
        own_broker, own_login = not os.environ.get("BROKER_URL"), not os.environ.get("OPS_AUTH")
        os.environ.update(environment(options, data_dir, sockets))
        require_all_valid()  # those of the data directory's files too
        data_dir.write("flower_url", os.environ["FLOWER_URL"])
        output = _open_output()
        supervisor = Supervisor(output, (*sockets.all, requests))
        supervisor.accept_from(requests)
        try:
            _greet(output, data_dir)
            if _start(supervisor, data_dir, sockets, options, own_broker=own_broker):
                _announce(output, data_dir, sockets, own_login=own_login)
                if before:
                    restart.tell_ready(before.request, sockets.url)
            after = _serve(supervisor, output, sockets, options)
        finally:
            supervisor.drain()
            supervisor.close()
        return None if supervisor.stopping else after


def _serve(
    supervisor: Supervisor, output: Output, sockets: Sockets, options: Options
) -> Handover | None:
    """Supervise until a signal to stop, or until a restart was requested that can succeed."""
    while request := supervisor.serve():
        restart.tell(request, "checking the changed code")
        check = executable(sys.executable, "-P", "-m", "tidings.up.new_code", *options.scale)
        code = supervisor.finish(Program("new code", check, Stage.WEB))
        if code == 0:
            said = "restarting when running tasks are finished"
            output.log(said)
            restart.tell(request, said)
            return Handover(sockets.web.dup(), options.flower_port, request)
        if code is not None:
            output.log(f"the changed code failed with exit code {code}; nothing was restarted")
        restart.tell(request, "the changed code does not work; nothing was restarted")
        restart.end(request)
    return None


@contextmanager
def _listening(options: Options, before: Handover | None) -> Iterator[Sockets]:
    with before.web if before else ports.listen(options.port, "--port") as web:
        sockets = Sockets(web, None if os.environ.get("SMTP_URL") else ports.listen(0, ""))
        try:
            yield sockets
        finally:
            sockets.close()


def _open_output() -> Output:
    output = Output()
    if output.terminal:  # the processes write to pipes and cannot detect the terminal
        os.environ.setdefault("LOG_FORMAT", "console")
    return output


def _greet(output: Output, data_dir: DataDir) -> None:
    output.log("starting")
    _warn_of_root(output)
    _tell_mended(output, data_dir)


def _warn_of_root(output: Output) -> None:
    if os.geteuid() == 0:
        output.log("running as root; a separate user would be safer")
        warnings.filterwarnings("ignore", "You're running the worker with superuser privileges")


def _tell_mended(output: Output, data_dir: DataDir) -> None:
    if data_dir.mode_before is not None:
        output.log(
            f"other users could write to {data_dir.folder} (mode {data_dir.mode_before:04o}); "
            "it is closed to them now (mode 0700)"
        )


def _start(
    supervisor: Supervisor,
    data_dir: DataDir,
    sockets: Sockets,
    options: Options,
    *,
    own_broker: bool,
) -> bool:
    """Start everything and wait until it is ready; false if it is stopped before that."""
    allocator.limit_arenas()
    adopt_orphans()
    counts = worker_counts(options.scale)  # for which Celery reads all its settings
    freeze()
    if own_broker:
        supervisor.start(Program("broker", broker.server(data_dir), Stage.BROKER))
    _migrate(supervisor)
    if own_broker and not _await_broker(supervisor, data_dir):
        return False
    since = clock.now()
    for program in programs(data_dir, sockets, counts):
        if not supervisor.stopping:
            supervisor.start(program)
    wait = partial(readiness.wait, sockets.url, counts, since)
    return supervisor.finish(Program("ready", wait, Stage.WEB)) == 0


def _migrate(supervisor: Supervisor) -> None:
    code = supervisor.finish(Program("migrate", command("tidings", "migrate"), Stage.WEB))
    if code:
        raise CannotStart(f"the migration failed with exit code {code}; see its output above")


def _await_broker(supervisor: Supervisor, data_dir: DataDir) -> bool:
    if supervisor.until(lambda: broker.answers(data_dir.broker_socket), within=STARTUP_TIMEOUT):
        return True
    if supervisor.stopping:
        return False
    raise CannotStart(
        f"the broker did not answer within {STARTUP_TIMEOUT:g} s; see its output above"
    )


def _announce(output: Output, data_dir: DataDir, sockets: Sockets, *, own_login: bool) -> None:
    login = "login as in OPS_AUTH"
    if own_login:
        login = f"login {os.environ['OPS_AUTH']} (kept in {data_dir.folder / 'ops_auth'})"
    output.announce(f"ready: {sockets.url}")
    output.announce(f"ops:    {sockets.url}/ops   {login}")
    output.announce(f"mails:  their links begin with {os.environ['PUBLIC_URL']} (PUBLIC_URL)")
    output.announce(f"flower: {os.environ['FLOWER_URL']}   {_flower_login(data_dir)}")
    if what := pretended():
        output.announce(f"the gateways are the built-in sandbox: {', '.join(what)}")


def _flower_login(data_dir: DataDir) -> str:
    if os.environ["FLOWER_BASIC_AUTH"] == flower_logins(os.environ["OPS_AUTH"]):
        return "the same login"
    own = data_dir.folder / "flower_auth"
    return f"login in {own}" if own.exists() else "login as in FLOWER_BASIC_AUTH"
