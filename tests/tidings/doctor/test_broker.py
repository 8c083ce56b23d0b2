"""What the doctor asks real brokers, and what it says when the answer is not good."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.events.transport.refusals import loading
from tests.servers import Valkey, free_port
from tests.tidings.doctor.examined import Examine, problems


@pytest.fixture
def set_up(valkey: Valkey, valkey_url: str) -> Iterator[Callable[[str, str], str]]:
    """Changes a setting of Valkey until the test is over; returns its address."""
    with valkey.client() as client:
        before: dict[str, str] = {}

        def change(name: str, value: str) -> str:
            before.update(client.config_get(name))  # type: ignore[arg-type]
            client.config_set(name, value)
            return valkey_url

        yield change
        for name, value in before.items():
            client.config_set(name, value)


def test_a_valkey_that_is_well_is_told_so(valkey_url: str, examine: Examine) -> None:
    assert {each.level for each in examine(valkey_url)} == {"ok"}


def test_a_valkey_that_forgets_at_a_restart_is_found(
    set_up: Callable[[str, str], str], examine: Examine
) -> None:
    [found] = [each for each in examine(set_up("appendonly", "no")) if each.level == "problem"]

    assert (found.part, "appendonly yes" in found.fix) == ("persistence", True)


def test_a_valkey_with_snapshots_only_is_a_notice(
    set_up: Callable[[str, str], str], examine: Examine
) -> None:
    set_up("save", "3600 1")
    found = examine(set_up("appendonly", "no"))

    assert problems(found) == []
    assert [each.message for each in found if each.level == "notice"] == [
        "messages since the last snapshot are lost at a restart (save 3600 1)"
    ]


def test_a_valkey_that_throws_messages_away_when_it_is_full_is_found(
    set_up: Callable[[str, str], str], examine: Examine
) -> None:
    [found] = [
        each
        for each in examine(set_up("maxmemory-policy", "allkeys-lru"))
        if each.level == "problem"
    ]

    assert (
        found.message
        == "maxmemory-policy is allkeys-lru: a full server drops messages without an error"
    )
    assert found.fix == "set maxmemory-policy to noeviction"


def test_a_valkey_that_is_nearly_full_is_found(
    valkey: Valkey, set_up: Callable[[str, str], str], examine: Examine
) -> None:
    with valkey.client() as client:
        used = int(client.info("memory")["used_memory"])  # type: ignore[index]
    found = problems(
        examine(
            set_up(
                "maxmemory",
                str(used + 1_000_000 if used > 20_000_000 else int(used * 1.02) + 100_000),
            )
        )
    )

    assert [each.partition(" ")[0] for each in found] == ["memory:"]


@pytest.mark.parametrize(
    ("refuses", "levels"), [("-config", {"ok"}), ("-config -info", {"ok", "unknown"})]
)
def test_a_managed_server_that_refuses_to_be_asked_is_unknown_and_not_at_fault(
    valkey: Valkey, valkey_url: str, examine: Examine, refuses: str, levels: set[str]
) -> None:
    with valkey.client() as client:
        client.execute_command(
            "ACL", "SETUSER", "tenant", "on", ">sesame", "~*", "&*", "+@all", *refuses.split()
        )
    try:
        found = examine(valkey_url.replace("//", "//tenant:sesame@"))
    finally:
        with valkey.client() as client:
            client.execute_command("ACL", "DELUSER", "tenant")

    assert {each.level for each in found} == levels


def test_a_key_of_valkey_that_is_no_list_is_found(
    valkey: Valkey, valkey_url: str, examine: Examine
) -> None:
    with valkey.client() as client:
        client.set("payment", "text")

    [found] = [each for each in examine(valkey_url, "email", "payment") if each.level == "problem"]

    assert found.message.startswith("payment has a key that holds something other than a list")
    assert "redis-cli type payment" in found.fix


def test_a_key_of_the_workers_that_holds_something_else_is_found(
    valkey: Valkey, valkey_url: str, examine: Examine
) -> None:
    with valkey.client() as client:
        client.set("unacked", "text")

    [found] = [each for each in examine(valkey_url) if each.level == "problem"]

    assert found.message.startswith("the key unacked holds a string instead of a hash")


def test_a_key_of_the_workers_that_the_user_may_not_use_is_found_and_the_broker_is_not_blamed(
    valkey: Valkey, valkey_url: str, examine: Examine
) -> None:
    url = valkey_url.replace("redis://", "redis://ada:sesame@")
    rights = ("~payment*", "~_kombu*", "~unacked", "allchannels", "+@all", "-type")
    with valkey.client() as client:
        client.execute_command("ACL", "SETUSER", "ada", "reset", "on", ">sesame", *rights)
        try:
            found = examine(url, "payment")
        finally:
            client.execute_command("ACL", "DELUSER", "ada")

    [trouble] = [each for each in found if each.level == "problem"]
    assert trouble.part == "queues"
    assert trouble.message.startswith("the key unacked_index needs more than the user")
    assert "`unacked_index*`" in trouble.fix


def test_a_replica_is_found(valkey: Valkey, valkey_url: str, examine: Examine) -> None:
    with valkey.client() as client:
        client.execute_command("REPLICAOF", "127.0.0.1", "1")
        try:
            [found] = [each for each in examine(valkey_url) if each.level == "problem"]
        finally:
            client.execute_command("REPLICAOF", "NO", "ONE")

    assert (found.part, found.fix) == ("broker", "let BROKER_URL name the primary")


def test_a_broker_that_loads_its_data_is_no_broker_to_start(
    valkey: Valkey, valkey_url: str, examine: Examine
) -> None:
    with loading(valkey):
        [found] = [each for each in examine(valkey_url) if each.level == "problem"]

    assert (found.part, "is loading the dataset" in found.message) == ("broker", True)
    assert found.fix == "wait until it has read its files; it goes on by itself"


def test_a_broker_that_is_down_is_found_without_its_password(examine: Examine) -> None:
    for url in (
        f"redis://:sesame@127.0.0.1:{free_port()}/0",
        f"amqp://ada:sesame@127.0.0.1:{free_port()}//",
    ):
        [found] = [each for each in examine(url) if each.level == "problem"]

        assert (found.part, "does not answer" in found.message) == ("broker", True)
        assert "sesame" not in found.message


def test_a_password_that_the_broker_does_not_take_is_found(
    valkey_url: str, examine: Examine
) -> None:
    [found] = problems(examine(valkey_url.replace("//", "//nobody:sesame@")))

    assert found.startswith("broker: ")
    assert "sesame" not in found


@pytest.mark.parametrize(
    ("times", "told"),
    [
        ({"lease": 30.0}, "LEASE (30 s) must be longer than TASK_TIME_LIMIT (30 s)"),
        (
            {"task_time_limit": 120, "lease": 200.0},
            "the visibility timeout (120 s) must be longer than TASK_TIME_LIMIT (120 s)",
        ),
        (
            {"options": {"visibility_timeout": 10}},
            "the visibility timeout (10 s) must be longer than TASK_TIME_LIMIT (30 s)",
        ),
        (
            {"task_soft_time_limit": 31},
            "TASK_SOFT_TIME_LIMIT (31 s) must be lower than TASK_TIME_LIMIT (30 s)",
        ),
    ],
)
def test_times_that_do_not_fit_each_other_are_found(
    valkey_url: str, examine: Examine, times: dict[str, Any], told: str
) -> None:
    [found] = problems(examine(valkey_url, **times))

    assert found.startswith(f"time limits: {told}")
