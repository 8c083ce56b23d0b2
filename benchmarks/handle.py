"""Measure the effects per second of one worker with one process that works off a backlog.

Run: python -m benchmarks.handle [--database postgres] [--broker rabbitmq] [--only Tidings]

Contenders take turns, each on an empty database and an empty broker, in several rounds. The ratio
is to stock Celery of the same round. The time is that from the first effect to the last.
"""

from sqlalchemy import func, select

from benchmarks.contest import BASELINE, CONTENDERS, Contender, Run, Stalled
from benchmarks.effects import effects
from benchmarks.options import Options, run_alone
from benchmarks.report import Result, Row, progress
from benchmarks.servers import Servers

TITLE = "effects per second of one worker process, and its ratio to stock Celery"
NOTES = [
    "least, median and most of the rounds; Tidings' figures include its relay",
    "+ inbox: the message's id is written by hand in the effect's transaction",
    "an inbox removes duplicates and does not find lost messages: see kills",
]
_WITHIN = 90.0  # seconds for one run
_LEAST, _MOST = 100, 20_000  # messages of one run


def measure(servers: Servers, options: Options) -> Result:
    """Run the contenders in turns."""
    contenders = chosen(options)
    rows = {each: Row(each.name, "effects/s", guarantee=each.guarantee) for each in contenders}
    guesses = {each: each.rate for each in contenders}
    for number in range(options.rounds):
        baseline = 0.0
        for contender in contenders:
            row = rows[contender]
            progress(f"handle: round {number + 1} of {options.rounds}, {contender.name}")
            found = _try(servers, contender, int(guesses[contender] * options.choose(4, 1)), row)
            baseline = found if contender is BASELINE else baseline
            if found:
                guesses[contender] = found
                row.values.append(found)
                row.ratios.extend([found / baseline] if baseline else [])
    return Result("handle", TITLE, list(rows.values()), NOTES)


def chosen(options: Options) -> list[Contender]:
    """Return stock Celery and the contenders that the options name."""
    return [each for each in CONTENDERS if each is BASELINE or _wanted(each, options)]


def _wanted(contender: Contender, options: Options) -> bool:
    by_hand = contender.env.get("INBOX") == "1"
    return options.only in contender.name and not (by_hand and options.quick)


def _try(servers: Servers, contender: Contender, messages: int, row: Row) -> float:
    """Return the rate of one run; 0 with the reason in the row's note if there is none."""
    if servers.broker not in contender.brokers:
        row.note = f"skipped: does not speak to {servers.broker}"
        return 0.0
    try:
        return rate(servers, contender, min(max(messages, _LEAST), _MOST))
    except Stalled as stalled:
        row.note = f"failed: {stalled}"
        return 0.0


def rate(servers: Servers, contender: Contender, messages: int, *, workers: int = 1) -> float:
    """Return the effects per second of so many workers on a backlog. Raises `Stalled`."""
    run = Run(contender, servers)
    try:
        run.send(messages)
        for _ in range(workers):
            run.worker()
        run.wait(messages, _WITHIN)
        with run.engine.connect() as connection:
            span = select(func.max(effects.c.at) - func.min(effects.c.at))
            return (messages - 1) / (connection.scalar(span) or 1.0)
    finally:
        run.close()


if __name__ == "__main__":
    run_alone(measure, __doc__)
