"""Measure how fast one web process alone accepts orders, beside plain Flask with Celery.

Run: python -m benchmarks.accept [--database postgres] [--broker rabbitmq]

Tidings' web process saves the order and its event in one transaction and sends nothing; plain Flask
saves the order and then sends five tasks. No relay and no worker runs.
"""

import http.client
import secrets
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks import client
from benchmarks.contest import AT_MOST_ONCE, BIN, EFFECT_ONCE, Stalled, until
from benchmarks.options import Options, run_alone
from benchmarks.report import Result, Row, percentile, progress
from benchmarks.servers import Process, Servers, free_port

# Both are served by Granian, which answers a plain Flask application two to three times as fast as
# gunicorn's threads do.
COMMANDS = {
    "Flask + 5 × Celery's send_task": (
        *("granian", "--interface", "wsgi", "--blocking-threads", "8", "--log-level", "error"),
        *("--factory", "benchmarks.peers.plain_flask:create_app"),
    ),
    "Tidings": ("tidings", "web"),
}
# A process that dies between the commit and the fifth task has sent only some of them.
_GUARANTEES = dict(zip(COMMANDS, (AT_MOST_ONCE, EFFECT_ONCE), strict=True))
CLIENTS = (1, 8)
Figures = dict[tuple[str, int], dict[str, list[float]]]


def measure(servers: Servers, options: Options) -> Result:
    """Let both applications take turns, each on an empty database."""
    figures: Figures = defaultdict(lambda: defaultdict(list))
    for _ in range(options.rounds):
        for name, command in COMMANDS.items():
            progress(f"accept: {name}")
            with _serving(servers, *command) as url:
                client.post(url, clients=4, orders=40)
                for clients in CLIENTS:
                    posted = client.post(url, clients=clients, seconds=options.choose(3, 1))
                    _note(figures[name, clients], posted)
    title = "orders that one web process accepts, and its ratio to plain Flask"
    return Result("accept", title, [*_rows(figures)])


def _note(found: dict[str, list[float]], posted: client.Posted) -> None:
    found["orders/s"].append(posted.per_second)
    for share in (0.5, 0.99):
        milliseconds = percentile(posted.latencies, share) * 1000
        found[f"p{share * 100:g}"].append(milliseconds)
    found["client"].append(posted.cpu_share * 100)


def _rows(figures: Figures) -> Iterator[Row]:
    plain = next(iter(COMMANDS))
    for clients in CLIENTS:
        for name in COMMANDS:
            found = figures[name, clients]
            rates, baseline = found["orders/s"], figures[plain, clients]["orders/s"]
            ratios = [rate / base for rate, base in zip(rates, baseline, strict=True)]
            whose = f"{name}, {clients} client{'s' * (clients > 1)}"
            share = f"the client takes {max(found['client']):.0f} % of a core"
            yield Row(whose, "orders/s", rates, ratios, _GUARANTEES[name], share)
            yield Row(f"{whose}, p50", "ms", found["p50"])
            yield Row(f"{whose}, p99", "ms", found["p99"])


@contextmanager
def _serving(servers: Servers, program: str, *options: str) -> Iterator[str]:
    folder, port = servers.new_folder("web"), free_port()
    env = servers.environment(folder, SECRET_KEY=secrets.token_hex())
    if program == "tidings":
        migrate = [str(BIN / "tidings"), "migrate"]
        subprocess.run(migrate, env=env, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    command = [str(BIN / program), *options, "--port", str(port)]
    process = Process(command, folder, env)
    process.launch()
    try:
        if not until(lambda: _answers(port) or not process.running(), within=30):
            raise Stalled(f"{program} does not answer: {process.log()[-2000:]}")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.stop()


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/")
        connection.getresponse().read()
    except OSError:
        return False
    finally:
        connection.close()
    return True


if __name__ == "__main__":
    run_alone(measure, __doc__)
