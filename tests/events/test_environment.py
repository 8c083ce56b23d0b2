"""Settings from the environment: which values are taken, and how wrong ones are refused."""

import pytest

from events.environment import InvalidSettings, read, require_valid
from events.settings import Settings


@pytest.mark.parametrize("value", ["", " ", "\n"])
def test_an_empty_variable_counts_as_unset(value: str, monkeypatch: pytest.MonkeyPatch):
    for name in ("LEASE", "DATABASE_URL", "LOG_LEVEL", "MAX_CRASHES", "TASK_TIME_LIMIT"):
        monkeypatch.setenv(name, value)

    found = read(Settings)

    assert (found.lease, found.log_level, found.max_crashes) == (40.0, "INFO", 3)
    assert found.database_url == "sqlite:///var/tidings.sqlite"


def test_space_around_a_value_is_not_part_of_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LEASE", " 60\n")
    monkeypatch.setenv("LOG_LEVEL", "debug ")
    monkeypatch.setenv("LOG_FORMAT", "JSON")

    found = read(Settings)

    assert (found.lease, found.log_level, found.log_format) == (60.0, "DEBUG", "json")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LEASE", "soon"),
        ("LEASE", "0"),
        ("LEASE", "-1"),
        ("LEASE", "inf"),
        ("LEASE", "nan"),
        ("LEASE", "1e300"),
        ("TASK_TIME_LIMIT", "half a minute"),
        ("MAX_CRASHES", "0"),
        ("MAX_CRASHES", "2.5"),
        ("MAX_CRASHES", "1_0"),
        ("LEASE", "1_0"),
        ("LEASE", "\uff14\uff10"),
        ("LOG_LEVEL", "verbose"),
        ("LOG_LEVEL", "notset"),
        ("LOG_FORMAT", "xml"),
        ("LEASE", "30s"),
        ("LEASE", "0x10"),
    ],
)
def test_a_value_that_cannot_work_is_refused_with_its_name_and_a_fix(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(name, value)

    with pytest.raises(InvalidSettings) as raised:
        read(Settings)

    [wrong] = raised.value.wrong
    assert wrong.name == name
    assert value in wrong.reason
    assert wrong.fix


def test_all_wrong_settings_are_named_at_once_and_no_password_is_shown(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("LEASE", "soon")
    monkeypatch.setenv("LOG_LEVEL", "verbose")
    monkeypatch.setenv("BROKER_URL", "sentinel://:sesame@host:26379/0")
    monkeypatch.setenv("DATABASE_URL", "postgresql://ada:sesame@host:port/shop")

    with pytest.raises(InvalidSettings) as raised:
        read(Settings)

    assert {each.name for each in raised.value.wrong} == {
        "LEASE",
        "LOG_LEVEL",
        "BROKER_URL",
        "DATABASE_URL",
    }
    assert str(raised.value).startswith("4 settings are wrong")
    assert "sesame" not in str(raised.value)


@pytest.mark.parametrize(
    "value",
    ['"1.2"', "'1.2'", '""', "\ufeff1.2", "1.2 # the shop", "1.2 #prod", "1.2\u200b", "1\udce4"],
)
def test_what_a_file_of_variables_leaves_around_a_value_is_refused(
    value: str, monkeypatch: pytest.MonkeyPatch
):
    for name in ("APP_VERSION", "BROKER_URL", "DATABASE_URL"):
        monkeypatch.setenv(name, value)

    with pytest.raises(InvalidSettings) as raised:
        read(Settings)

    wrong = {each.name: each for each in raised.value.wrong}
    assert wrong.keys() >= {"APP_VERSION", "BROKER_URL", "DATABASE_URL"}
    assert {each.reason.split()[0] for each in wrong.values()} <= {"has", "begins"}
    told = ("leave them out", "BOM", "a line of its own", "by hand")
    assert all(any(words in each.fix for words in told) for each in wrong.values())


@pytest.mark.parametrize(
    "limits", [{"TASK_TIME_LIMIT": "20"}, {"TASK_SOFT_TIME_LIMIT": "30"}], ids=str
)
def test_a_limit_that_is_never_reached_is_refused_at_every_start(
    limits: dict[str, str], monkeypatch: pytest.MonkeyPatch
):
    for name, value in limits.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(InvalidSettings, match=r"TASK_TIME_LIMIT is .* not above TASK_SOFT_TIME"):
        require_valid()

    monkeypatch.setenv("TASK_SOFT_TIME_LIMIT", "10")
    require_valid()
