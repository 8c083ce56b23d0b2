"""The options that every benchmark takes, and the way to run one alone."""

import argparse
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.report import Result
from benchmarks.servers import Servers


@dataclass(frozen=True)
class Options:
    """The servers of a measurement, and its length."""

    database: str = "sqlite"
    broker: str = "valkey"
    quick: bool = False
    rounds: int = 3
    only: str = ""

    def choose(self, full: float, quick: float) -> float:
        """Return the size of a run: the first, or the second when it has to be short."""
        return quick if self.quick else full


Benchmark = Callable[[Servers, Options], Result]


def parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser of the common options."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--database", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--broker", choices=("valkey", "rabbitmq"), default="valkey")
    parser.add_argument("--quick", action="store_true", help="short runs, and fewer")
    parser.add_argument("--rounds", type=int, help="how often each is run; 3, with --quick 1")
    parser.add_argument("--only", default="", help="contenders with this text in their name")
    return parser


def options_of(given: argparse.Namespace) -> Options:
    """Return the options that a command line gave."""
    rounds = given.rounds or (1 if given.quick else 3)
    return Options(given.database, given.broker, given.quick, rounds, given.only)


def run_alone(benchmark: Benchmark, description: str | None) -> None:
    """Run one benchmark with the options of the command line and print what it found."""
    run_with(parser(description).parse_args(), benchmark)


def run_with(given: argparse.Namespace, benchmark: Benchmark) -> None:
    """Run one benchmark with these options and print what it found."""
    options = options_of(given)
    stop_on_sigterm()
    with Servers(options.database, options.broker) as servers:
        benchmark(servers, options).print()


def stop_on_sigterm() -> None:
    """Exit on SIGTERM as on Ctrl-C, so that the servers are stopped."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
