"""The ends of processes that no fault of the run caused. Each is a breach."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping

_ENDED = re.compile(
    r"^up +\| (?P<name>\S+) (?P<how>was killed by \w+|ended with exit code \d+) after", re.MULTILINE
)
_KILLED = "was killed by SIGKILL"
# Programs that have a fault of their own; any other program but those never killed is a worker.
_FAULTS = {"web": "kill web", "relay": "kill relay", "broker": "kill broker"}
_NEVER_KILLED = ("flower", "mails")


def count(log: str) -> Counter[tuple[str, str]]:
    """Count the ends of the programs in the log of `up`, by name and kind."""
    return Counter((each["name"], each["how"]) for each in _ENDED.finditer(log))


def uncaused(log: str, injected: Mapping[str, int]) -> Iterator[str]:
    """Yield a finding for each end that is no injected kill; `injected` counts the faults."""
    killed: Counter[str] = Counter()
    for (name, how), times in sorted(count(log).items()):
        fault = "" if name in _NEVER_KILLED else _FAULTS.get(name, "kill worker")
        if how == _KILLED and fault:
            killed[fault] += times
        else:
            yield f"{name} {how} by itself, {times} times; `log` has its last words"
    for fault, times in sorted(killed.items()):
        if times > injected.get(fault, 0):
            yield (
                f"{times} processes were killed by SIGKILL, but `{fault}` was injected "
                f"{injected.get(fault, 0)} times only; is the machine out of memory?"
            )
