"""The processes of `up`, and their environment."""

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from socket import socket

from events import transport
from events.environment import InvalidSettings, WrongSetting, read
from events.errors import BadValue
from tasks.celery import app
from tasks.ops_login import flower_logins
from tasks.settings import Settings
from tidings.priority import BACKGROUND, RELAY
from tidings.up import broker, mail_sink, ports
from tidings.up.celery_command import celery_command
from tidings.up.data_dir import CannotStart, DataDir, new_ops_login
from tidings.up.program import Program, Stage, command

_WORKER_GRACE = 40.0  # seconds; longer than the time limit of a task


class UnknownQueue(CannotStart):
    """No subscription and no ordinary task uses this queue."""


@dataclass(frozen=True)
class Options:
    """The options of `tidings up`."""

    port: int = 8000
    flower_port: int = 5555
    data_dir: Path = Path("var")
    scale: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Sockets:
    """The listening sockets of the supervisor: a program restarts and no client is refused."""

    web: socket
    mails: socket | None

    @property
    def url(self) -> str:
        """The address of the web."""
        return f"http://{ports.HOST}:{self.web.getsockname()[1]}"

    @property
    def all(self) -> tuple[socket, ...]:
        """The open sockets."""
        return tuple(each for each in (self.web, self.mails) if each)

    def close(self) -> None:
        """Close all sockets."""
        for each in self.all:
            each.close()


def environment(options: Options, data_dir: DataDir, sockets: Sockets) -> dict[str, str]:
    """Return the environment of the processes.

    Variables that are set already win, except for the address of Flower.
    """
    login = os.environ.get("OPS_AUTH") or data_dir.secret("ops_auth", new_ops_login)
    defaults = {
        "DATABASE_URL": data_dir.database_url,
        "BROKER_URL": broker.url(data_dir),
        "SECRET_KEY": data_dir.secret("secret_key", partial(secrets.token_urlsafe, 32)),
        "OPS_AUTH": login,
        "MAIL_DIR": str(data_dir.mails),
        "PUBLIC_URL": sockets.url,
        "FLOWER_URL": (
            f"http://{ports.HOST}:{options.flower_port}{read(Settings).flower_url_prefix}"
        ),
        # Not an argument of Flower: every user of the machine could read it.
        "FLOWER_BASIC_AUTH": _flower_logins(login) or data_dir.secret("flower_auth", new_ops_login),
        "FLOWER_MAX_TASKS": "10000",
    }
    if sockets.mails:
        defaults["SMTP_URL"] = f"smtp://{ports.HOST}:{sockets.mails.getsockname()[1]}"
    chosen = {name: os.environ.get(name) or value for name, value in defaults.items()}
    return chosen | {"FLOWER_ADDRESS": ports.HOST, "FLOWER_PORT": str(options.flower_port)}


def _flower_logins(login: str) -> str:
    try:
        return flower_logins(login)
    except BadValue as error:  # in the file of the data directory
        raise InvalidSettings([WrongSetting("OPS_AUTH", error.reason, error.fix)]) from error


def worker_counts(scale: Mapping[str, int]) -> dict[str, int]:
    """Return the number of workers of each queue, 1 by default. Raises `UnknownQueue`."""
    queues = sorted(transport.all_queues(app))
    if unknown := sorted(set(scale) - set(queues)):
        raise UnknownQueue(
            f"no subscription or task uses queue {unknown[0]!r}; "
            f"--scale takes one of {', '.join(queues)}"
        )
    return {queue: scale.get(queue, 1) for queue in queues}


def programs(data_dir: DataDir, sockets: Sockets, counts: Mapping[str, int]) -> list[Program]:
    """Return all programs but the broker, in the order of their start."""
    chosen = [
        Program("web", _web(sockets.web), Stage.WEB, grace=20.0, sockets=(sockets.web,)),
        Program("relay", command("tidings", "relay"), Stage.RELAY, niceness=RELAY),
    ]
    for queue, count in counts.items():
        chosen += [_worker(queue, number) for number in range(1, count + 1)]
    flower = celery_command("flower")
    chosen.append(Program("flower", flower, Stage.FLOWER, niceness=BACKGROUND))
    if sockets.mails:
        sink = partial(mail_sink.serve, sockets.mails, data_dir.mails)
        chosen.append(Program("mails", sink, Stage.MAILS, sockets=(sockets.mails,)))
    return chosen


def _web(listening: socket) -> partial[object]:
    return command("tidings", "web", f"--fd={listening.fileno()}")


def _worker(queue: str, number: int) -> Program:
    name = queue if number == 1 else f"{queue}-{number}"
    options = ("-Q", queue, "-n", f"{name}@%h", "-c", "1", "--without-mingle", "--without-gossip")
    run = celery_command("worker", *options)
    return Program(name, run, Stage.WORKERS, grace=_WORKER_GRACE, niceness=BACKGROUND)
