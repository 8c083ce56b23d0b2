"""Examinations in tests."""

from tidings.doctor import examination
from tidings.doctor.findings import Finding


def problems(findings: list[Finding]) -> list[str]:
    """Return the problems among the findings as text."""
    return [f"{each.part}: {each.message}" for each in findings if each.level == "problem"]


def examined() -> list[Finding]:
    """Examine the tables of this process's database."""
    return list(examination._check_tables())
