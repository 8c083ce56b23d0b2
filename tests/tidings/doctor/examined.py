"""Examinations in tests."""

from collections.abc import Callable

from tidings.doctor import examination
from tidings.doctor.findings import Finding

Examine = Callable[..., list[Finding]]


def problems(findings: list[Finding]) -> list[str]:
    """Return the problems among the findings as text."""
    return [f"{each.part}: {each.message}" for each in findings if each.level == "problem"]


def examined() -> list[Finding]:
    """Examine the tables of this process's database."""
    return list(examination._check_tables())
