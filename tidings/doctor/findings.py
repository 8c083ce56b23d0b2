"""Findings of the doctor: one line each, with a fix."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "notice", "unknown", "problem"]


@dataclass(frozen=True)
class Finding:
    """The state of one part of the deployment, and the fix if it needs one."""

    part: str
    level: Level
    message: str
    fix: str = ""


def ok(part: str, message: str) -> Finding:
    """Return a finding that needs no fix."""
    return Finding(part, "ok", message)


def notice(part: str, message: str, fix: str = "") -> Finding:
    """Return a finding that may be intended."""
    return Finding(part, "notice", message, fix)


def unknown(part: str, message: str, fix: str = "") -> Finding:
    """Return a finding about something that could not be examined."""
    return Finding(part, "unknown", message, fix)


def problem(part: str, message: str, fix: str) -> Finding:
    """Return a finding that needs the fix."""
    return Finding(part, "problem", message, fix)


def or_ok(part: str, findings: Iterable[Finding], message: str) -> Iterator[Finding]:
    """Yield the findings, or one `ok` with the message if there are none."""
    found = list(findings)
    yield from found or [ok(part, message)]


def guarded(part: str, check: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """Yield the findings of a check; an unexpected exception becomes a finding too."""
    try:
        yield from check()
    except Exception as error:
        yield problem(
            part,
            f"the examination failed: {describe(error)}",
            "correct the cause, then run `tidings doctor` again",
        )


def describe(error: BaseException) -> str:
    """Return an exception's type and message on one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]
