"""What the doctor thinks of secrets, and of a real Flower."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.servers import Process, free_port, wait_until
from tests.tidings.doctor.examined import problems
from tidings.doctor import flower, secrets

ROOT = Path(__file__).parents[3]
GOOD = {"secret_key": "9f2c7d41a6e85b03", "ops_auth": "ada:correct horse"}


def looked(
    *, secret_key: str = GOOD["secret_key"], ops_auth: str = GOOD["ops_auth"], **urls: str
) -> list[str]:
    return problems(list(secrets.check(secret_key=secret_key, ops_auth=ops_auth, urls=urls)))


def test_good_secrets_are_well() -> None:
    assert (
        looked(
            BROKER_URL="amqp://ada:correct%20horse@rabbitmq//",
            DATABASE_URL="postgresql://ada:correct%20horse@db/tidings",
        )
        == []
    )


@pytest.mark.parametrize(
    "key", ["", "change-me", "secret", "short", "only for tests", "aaaaaaaaaaaaaaaaaaaaaaaa"]
)
def test_a_secret_key_that_is_missing_or_can_be_guessed_is_found(key: str) -> None:
    [found] = looked(secret_key=key)

    assert found.startswith("secret key: ")


def test_the_weak_one_of_several_ops_logins_is_named_and_a_hash_is_not_judged() -> None:
    hashed = "eve:scrypt:32768:8:1$salt$00ff:viewer"

    assert looked(ops_auth=f"ada:correct horse,{hashed}") == []
    [found] = looked(ops_auth=f"ada:correct horse,bob:bob:viewer,{hashed}")
    assert "the password of bob in OPS_AUTH is weak" in found


@pytest.mark.parametrize(
    "login",
    [
        "",
        "ops",
        "ops:",
        ":sesame",
        "ops:ops",
        "ops:change-me",
        "ops:change-me-change-me",
        "ops:11111111",
        "ops:please-change-me",
        "ops:qwertyuiop",
        "ops:Summer2026!",
        "ada:ada-ada-ada",
        "admin:password",
        "ops:short",
    ],
)
def test_an_ops_login_that_is_missing_or_can_be_guessed_is_found(login: str) -> None:
    [found] = looked(ops_auth=login)

    assert found.startswith("ops login: ")


@pytest.mark.parametrize(
    ("name", "url", "told"),
    [
        (
            "BROKER_URL",
            "amqp://guest:guest@rabbitmq:5672//",
            "the password of rabbitmq in BROKER_URL is weak",
        ),
        ("BROKER_URL", "redis://valkey:6379/0", "the broker at valkey requires no password"),
        (
            "BROKER_URL",
            "amqp://a:correct-horse@one//;amqp://guest:guest@two//",
            "the password of two in BROKER_URL is weak",
        ),
        (
            "DATABASE_URL",
            "postgresql://postgres:postgres@db/tidings",
            "the password of db in DATABASE_URL is weak",
        ),
    ],
)
def test_a_password_that_everybody_knows_is_found_in_an_address(
    name: str, url: str, told: str
) -> None:
    [found] = looked(**{name: url})

    assert found.startswith(f"passwords: {told}")


@pytest.mark.parametrize(
    "url",
    [
        "amqp://guest:guest@127.0.0.1:5672//",
        "redis://localhost/0",
        "redis://[::1]:6379/0",
        "redis+socket:///run/b.sock",
        "sqlite:///x",
    ],
)
def test_what_only_this_machine_can_reach_needs_no_good_password(url: str) -> None:
    assert looked(BROKER_URL=url) == []


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        (
            {"FLOWER_UNAUTHENTICATED_API": "true", "FLOWER_BASIC_AUTH": "ada:correct horse"},
            "FLOWER_UNAUTHENTICATED_API is set",
        ),
        ({"FLOWER_PORT": "5555"}, "it listens on all addresses and requires no login"),
        ({"FLOWER_ADDRESS": "0.0.0.0"}, "it listens on all addresses and requires no login"),
        (
            {"FLOWER_BASIC_AUTH": "ada:correct horse,ops:ops"},
            "the password of ops in FLOWER_BASIC_AUTH is weak",
        ),
    ],
)
def test_settings_that_open_flower_to_the_world_are_found(
    environment: dict[str, str], told: str
) -> None:
    [found] = problems(list(flower.check(environment, "")))

    assert found.startswith(f"flower: {told}")


@pytest.mark.parametrize(
    "environment", [{}, {"FLOWER_ADDRESS": "127.0.0.1"}, {"FLOWER_BASIC_AUTH": "ada:correct horse"}]
)
def test_settings_that_keep_flower_closed_are_well(environment: dict[str, str]) -> None:
    assert problems(list(flower.check(environment, ""))) == []


def test_a_flower_that_does_not_answer_is_a_notice() -> None:
    [found] = flower.check({}, f"http://127.0.0.1:{free_port()}")

    assert (found.level, "does not answer" in found.message) == ("notice", True)


@pytest.fixture
def run_flower(valkey_url: str, tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Yield a function that starts Flower with these settings and returns its address."""
    started: list[Process] = []

    def run(**settings: str) -> str:
        port = str(free_port())
        env = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "BROKER_URL": valkey_url,
            "FLOWER_ADDRESS": "127.0.0.1",
        }
        (home := tmp_path / port).mkdir()
        celery = [sys.executable, "-m", "celery", "-A", "tests.events.live_app"]
        started.append(Process([*celery, "flower", f"--port={port}"], home, env | settings))
        started[-1].launch()
        wait_until(
            lambda: next(flower.check({}, f"http://127.0.0.1:{port}")).level != "notice",
            what="an answer of Flower",
        )
        return f"http://127.0.0.1:{port}"

    yield run
    for each in started:
        each.kill()


@pytest.mark.system
@pytest.mark.slow
def test_a_real_flower_is_asked_whether_it_lets_anybody_in(run_flower: Callable[..., str]) -> None:
    closed, shown, open_ = (
        run_flower(FLOWER_BASIC_AUTH="ada:correct horse"),
        run_flower(),
        run_flower(FLOWER_UNAUTHENTICATED_API="true"),
    )

    assert [each.level for each in flower.check({}, closed)] == ["ok"]
    assert problems(list(flower.check({}, shown))) == [
        f"flower: {shown} shows all tasks and workers to anyone"
    ]
    assert [each.level for each in flower.check({"FLOWER_ADDRESS": "127.0.0.1"}, shown)] == [
        "notice"
    ]
    assert problems(list(flower.check({}, open_))) == [
        f"flower: {open_} lets anyone run tasks and stop workers"
    ]
