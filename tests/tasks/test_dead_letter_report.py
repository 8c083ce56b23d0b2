"""The report of a group of dead letters for a ticket."""

import pytest

from events import reading
from events.errors import UnknownGroup
from events.testing import Bus
from tasks.dead_letter_report import markdown
from tests.tasks.builders import placed
from tests.tasks.test_impact import CHARGE, dead


def report(error: str) -> str:
    with reading() as session:
        return markdown(session, subscription=CHARGE, fingerprint=error)


def test_a_report_tells_cause_impact_latest_deaths_and_commands(any_bus: Bus) -> None:
    orders = [placed(MUG=1) for _ in range(2)]
    dead(CHARGE, *orders)

    text = report("ValueError: no")

    assert text.startswith("# `ValueError:` in `payment.charge_order`: 2 dead\n")
    assert "- orders that wait: 2\n- money held up: €25.00\n" in text
    assert "```text\nValueError: no\n```" in text
    assert all(f"| `{order.number}` |" in text for order in orders)
    assert f"--subscription {CHARGE} --fingerprint 'ValueError: no' --why REASON" in text
    assert "ada@example.org" not in text
    assert "tok_ok" not in text


def test_no_error_breaks_out_of_its_block_or_its_cell(bus: Bus) -> None:
    nasty = "E `x` | y\n```\n# heading\n\x1b[2J<script>"
    dead(CHARGE, placed(MUG=1), error=nasty)

    text = report(nasty)

    assert "````text\nE `x` | y\n```\n# heading\n\\u001b[2J<script>\n````" in text
    assert "- fingerprint: `E 'x' \\| y ''' # heading \\u001b[2J<script>`" in text


def test_a_group_without_a_dead_letter_has_no_report(bus: Bus) -> None:
    with pytest.raises(UnknownGroup, match="dead-letters list --group"):
        report("nothing")
