"""Which processes `up` runs, with which environment, and in which order they end."""

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from socket import socket

from events import subscriptions
from tidings.up import broker, mail_sink, ports
from tidings.up.data_dir import CannotStart, Home, ops_login
from tidings.up.program import Program, command

WEB, RELAY, WORKERS, FLOWER, MAILS, BROKER = range(
    6
)  # the order in which they end: first nothing comes in, last goes the broker
_DRAIN = 40.0  # seconds for a worker to finish: more than a handler's time limit


class UnknownQueue(CannotStart):
    """No subscription listens on this queue."""


@dataclass(frozen=True)
class Options:
    """What `tidings up` was asked for."""

    port: int = 8000
    flower_port: int = 5555
    data_dir: Path = Path("var")
    scale: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Sockets:
    """What the supervisor listens on for its processes, so that one can be started again and no caller is refused."""

    web: socket
    mails: socket | None

    @property
    def url(self) -> str:
        """Where the web is."""
        return f"http://{ports.HOST}:{self.web.getsockname()[1]}"

    @property
    def all(self) -> tuple[socket, ...]:
        """Those that are open."""
        return tuple(each for each in (self.web, self.mails) if each)

    def close(self) -> None:
        """Let go of all."""
        for each in self.all:
            each.close()


def environment(options: Options, home: Home, sockets: Sockets) -> dict[str, str]:
    """What the processes find in their environment. What is set there already wins, but for where Flower listens."""
    login = os.environ.get("OPS_AUTH") or home.secret("ops_auth", ops_login)
    user, _, password = login.partition(":")
    if not user or not password or "," in login:
        raise CannotStart(
            "OPS_AUTH is user:password, without a comma, because Flower takes a list of them"
        )
    ours = {
        "DATABASE_URL": home.database_url,
        "BROKER_URL": broker.url(home),
        "SECRET_KEY": home.secret("secret_key", partial(secrets.token_urlsafe, 32)),
        "OPS_AUTH": login,
        "MAIL_DIR": str(home.mails),
        "FLOWER_URL": f"http://{ports.HOST}:{options.flower_port}",
        "FLOWER_BASIC_AUTH": login,  # not in its arguments, where every user of the machine could read it
        "FLOWER_MAX_TASKS": "10000",
    }
    if sockets.mails:
        ours["SMTP_URL"] = f"smtp://{ports.HOST}:{sockets.mails.getsockname()[1]}"
    chosen = {name: os.environ.get(name) or value for name, value in ours.items()}
    return chosen | {"FLOWER_ADDRESS": ports.HOST, "FLOWER_PORT": str(options.flower_port)}


def workers(scale: Mapping[str, int]) -> dict[str, int]:
    """How many workers each queue gets: one, unless `scale` says otherwise. Raises `UnknownQueue`."""
    queues = sorted({each.queue for each in subscriptions.registered().values()})
    if unknown := sorted(set(scale) - set(queues)):
        raise UnknownQueue(
            f"no subscription listens on queue {unknown[0]!r}; --scale takes one of {', '.join(queues)}"
        )
    return {queue: scale.get(queue, 1) for queue in queues}


def programs(home: Home, sockets: Sockets, counts: Mapping[str, int]) -> list[Program]:
    """Everything but the broker, in the order in which it is started."""
    web = command(
        *(
            "gunicorn",
            "web:create_app()",
            "--bind",
            f"fd://{sockets.web.fileno()}",
            "--worker-class",
            "gthread",
            "--threads",
            "8",
        ),
        *("--graceful-timeout", "15", "--no-control-socket", "--log-level", "warning"),
    )
    chosen = [
        Program("web", web, WEB, grace=20.0, keeps=(sockets.web,)),
        Program("relay", command("tidings", "relay"), RELAY),
    ]
    for queue, count in counts.items():
        chosen += [_worker(queue, number) for number in range(1, count + 1)]
    chosen.append(Program("flower", command("celery", "--quiet", "-A", "tasks", "flower"), FLOWER))
    if sockets.mails:
        chosen.append(
            Program(
                "mails",
                partial(mail_sink.serve, sockets.mails, home.mails),
                MAILS,
                keeps=(sockets.mails,),
            )
        )
    return chosen


def _worker(queue: str, number: int) -> Program:
    name = queue if number == 1 else f"{queue}-{number}"
    run = command(
        "celery",
        "--quiet",
        "-A",
        "tasks",
        "worker",
        "-Q",
        queue,
        "-n",
        f"{name}@%h",
        "-c",
        "1",
        "--without-mingle",
        "--without-gossip",
    )
    return Program(name, run, WORKERS, grace=_DRAIN)
