"""What the doctor finds: one line each, with what to do about it."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "notice", "unknown", "problem"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at, how it is, and what mends it."""

    about: str
    level: Level
    told: str
    fix: str = ""


def ok(about: str, told: str) -> Finding:
    """It is as it should be."""
    return Finding(about, "ok", told)


def notice(about: str, told: str, fix: str = "") -> Finding:
    """It may be meant so; somebody should know."""
    return Finding(about, "notice", told, fix)


def unknown(about: str, told: str, fix: str = "") -> Finding:
    """It could not be looked at, and that need not be a fault."""
    return Finding(about, "unknown", told, fix)


def problem(about: str, told: str, fix: str) -> Finding:
    """It is wrong; `fix` says what to do."""
    return Finding(about, "problem", told, fix)


def one_of(about: str, wrong: Iterable[Finding], well: str) -> Iterator[Finding]:
    """What is wrong, or one line that all is well."""
    found = list(wrong)
    yield from found or [ok(about, well)]


def carefully(about: str, check: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """The check's findings; one that fails in a way nobody thought of is a finding itself, not a stack trace."""
    try:
        yield from check()
    except Exception as error:
        yield problem(
            about,
            f"could not be looked at: {said(error)}",
            "mend what it says, then ask the doctor again",
        )


def said(error: BaseException) -> str:
    """An error in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]
