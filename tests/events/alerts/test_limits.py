"""The settings of the alerts' rules."""

import pytest

from events.alerts.evaluation import is_on
from events.environment import InvalidSettings, read
from events.settings import Settings


def test_each_rule_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    rules = ("new cause", "dead", "oldest", "no worker", "relay behind", "breaker open")
    assert [is_on(rule, read(Settings)) for rule in rules] == [True] * 6
    for rule in rules:
        monkeypatch.setenv(f"ALERT_{rule.replace(' ', '_').upper()}", "Off")
    assert [is_on(rule, read(Settings)) for rule in rules] == [False] * 6


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("ALERT_DEAD", "-1"), ("ALERT_DEAD", "1_0"), ("ALERT_DEAD", "1.5")),
        ("ALERT_DEAD", "9" * 30),
        *(("ALERT_OLDEST", "soon"), ("ALERT_OLDEST", "1_0"), ("ALERT_OLDEST", "inf")),
        *(("ALERT_NO_WORKER", "nan"), ("ALERT_RELAY_BEHIND", "-1"), ("ALERT_NEW_CAUSE", "5")),
    ],
)
def test_a_limit_that_is_none_is_refused_by_name(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(InvalidSettings) as raised:
        read(Settings)
    [wrong] = raised.value.wrong
    assert (wrong.name, value in wrong.reason) == (name, True)
    assert "off" in wrong.fix or "digits" in wrong.fix or name == "ALERT_NEW_CAUSE"
