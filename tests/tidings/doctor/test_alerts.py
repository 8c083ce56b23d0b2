"""The doctor's examination of where alerts go."""

import re

import pytest

from tests.tidings.doctor.examined import problems
from tidings.doctor import alerts

SMTP = "smtp://mail.example.org"


def test_alerts_that_nobody_gets_are_a_notice() -> None:
    [finding] = alerts.check("", "", "", SMTP)
    assert (finding.level, finding.message) == ("notice", "alerts are sent to nobody")
    [finding] = alerts.check("", "", "", "smtp://127.0.0.1:1025")
    assert finding.level == "ok"
    assert [each.level for each in alerts.check("ops@example.org", "", "", SMTP)] == ["ok"]


@pytest.mark.parametrize(
    ("url", "networks", "message"),
    [
        ("https://localhost/x", "", "leads to .* inside a network"),
        ("https://no-such-host.invalid/x", "", "has no address"),
    ],
)
def test_a_webhook_that_leads_inside_or_nowhere_is_a_problem(
    url: str, networks: str, message: str
) -> None:
    [found] = problems(list(alerts.check("", url, networks, SMTP)))
    assert re.search(message, found)


def test_a_webhook_in_a_network_of_ones_own_is_well() -> None:
    [finding] = alerts.check("", "http://localhost/x", "127.0.0.0/8,::1", SMTP)
    assert finding.level == "ok"
