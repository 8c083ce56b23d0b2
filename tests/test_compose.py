"""docker-compose.yml and the Dockerfile: valid, bound to loopback, with commands that exist."""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest
from flower.options import options as flower_options
from sqlalchemy import make_url

from events import subscriptions
from events.settings import Settings
from tests.compose import FILLED_IN, OURS, ROOT, compose, example, services
from tests.servers import HANG
from tidings.all_settings import CLASSES

DOCKERFILE = (ROOT / "Dockerfile").read_text()
PINNED = re.compile(r"[\w/]+:[\w.-]+@sha256:[0-9a-f]{64}")
SERVICES = services(**example())
COMMANDS = {
    name: service["command"] for name, service in SERVICES.items() if service["image"] == OURS
}
WORKERS = {
    name: command[command.index("-Q") + 1] for name, command in COMMANDS.items() if "-Q" in command
}


def test_the_file_follows_the_compose_specification():
    schema = json.loads(
        (files("check_jsonschema") / "builtin_schemas/vendor/compose-spec.json").read_text()
    )

    jsonschema.validate(compose(**example()), schema)


def test_each_queue_of_a_subscription_has_a_worker_service_of_its_name():
    subscriptions.discover("tasks", skip={"celery"})
    queues = {
        each.queue
        for name, each in subscriptions.registered().items()
        if each.handler.__module__.startswith("tasks.")
    }

    assert {name: name for name in queues} == WORKERS


def test_the_workers_differ_by_their_queue_alone():
    payment = " ".join(COMMANDS["payment"])

    assert {name: " ".join(COMMANDS[name]) for name in WORKERS} == {
        name: payment.replace("payment", name) for name in WORKERS
    }
    assert "-Q payment -n payment@%h" in payment


def test_a_service_waits_only_for_services_that_are_there():
    waits = {other for service in SERVICES.values() for other in service.get("depends_on", {})}

    assert waits <= set(SERVICES)


def test_no_service_starts_before_the_migration():
    too_early = [
        name
        for name in COMMANDS
        if name != "migrate"
        and SERVICES[name]["depends_on"]["migrate"]
        != {"condition": "service_completed_successfully"}
    ]

    assert too_early == []


def test_orders_are_taken_without_a_broker():
    assert set(SERVICES["web"]["depends_on"]) == {"migrate"}


def test_ports_are_open_to_this_machine_alone():
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]

    assert ports
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


def test_everything_that_keeps_running_has_a_health_check():
    assert [name for name, service in SERVICES.items() if "healthcheck" not in service] == [
        "migrate"
    ]


def test_a_worker_has_longer_to_stop_than_a_task_may_take():
    limit = int(Settings.model_fields["task_time_limit"].default)

    assert {SERVICES[name]["stop_grace_period"] for name in WORKERS} == {f"{limit + 10}s"}
    longer = services(**example(), STOP_GRACE_PERIOD="130s", TASK_TIME_LIMIT="120")["payment"]
    assert longer["stop_grace_period"] == "130s"
    assert str(longer["environment"]["TASK_TIME_LIMIT"]) == "120"


def test_every_setting_reaches_a_container_and_keeps_the_value_that_is_given():
    settings = {name.upper() for kind in CLASSES for name in kind.model_fields}
    elsewhere = {
        "MAIL_DIR",
        "FLOWER_PORT",
        "DATABASE_URL",
        "DATABASE_OWNER_URL",
    }  # of `make up`, an argument, put together
    given = {name: "value-of-" + name for name in settings}
    found = services(**{**example(), **given})
    reached = {
        name
        for service in found.values()
        for name, value in service.get("environment", {}).items()
        if value in (given.get(name), given["OPS_AUTH"])
    }

    assert settings - reached == elsewhere


def test_each_setting_of_the_bus_reaches_every_process():
    names = {name.upper() for name in Settings.model_fields}

    assert {
        name: names - set(SERVICES[name]["environment"])
        for name in COMMANDS
        if names - set(SERVICES[name]["environment"])
    } == {}


def test_only_the_migration_connects_as_the_owner_of_the_tables():
    owner = FILLED_IN["POSTGRES_PASSWORD"]
    knowing = {name for name, service in SERVICES.items() if owner in str(service["environment"])}
    roles = {make_url(SERVICES[name]["environment"]["DATABASE_URL"]).username for name in COMMANDS}

    assert knowing == {"postgres", "migrate"}
    assert roles == {"tidings_services"}
    migrate = SERVICES["migrate"]["environment"]
    assert make_url(migrate["DATABASE_OWNER_URL"]).username == "tidings"


def test_database_and_broker_are_on_a_network_of_their_own_without_a_way_out():
    inner = {name for name, service in SERVICES.items() if service["networks"] == ["back"]}

    assert compose(**example())["networks"] == {"front": None, "back": {"internal": True}}
    assert {"postgres", "rabbitmq", "valkey", "migrate", "relay"} <= inner
    assert all("back" in service["networks"] for service in SERVICES.values())
    assert not [name for name in inner if "ports" in SERVICES[name]]


def test_only_one_broker_is_started():
    assert {
        name: service["profiles"] for name, service in SERVICES.items() if "profiles" in service
    } == {
        "rabbitmq": ["rabbitmq"],
        "valkey": ["valkey"],
    }


@pytest.mark.parametrize(
    "name",
    [
        "POSTGRES_PASSWORD",
        "BROKER_PASSWORD",
        "BROKER_URL",
        "SECRET_KEY",
        "OPS_AUTH",
        "SMTP_URL",
        "PUBLIC_URL",
    ],
)
def test_a_secret_that_is_not_given_stops_everything_and_says_which(name: str):
    with pytest.raises(KeyError, match=name):
        compose(**{**example(), name: ""})


def test_no_secret_stands_in_the_file():
    text = (ROOT / "docker-compose.yml").read_text()

    assert re.findall(r"(?:PASS|PASSWORD|SECRET_KEY|OPS_AUTH|_AUTH):\s+(?!\$\{)\S+", text) == []


def _options(arguments: list[str]) -> Iterator[str]:
    for argument in arguments:
        if argument.startswith("-"):
            yield argument.split("=")[0]


@cache
def _help(*words: str) -> str:
    command = [str(Path(sys.executable).parent / words[0]), *words[1:], "--help"]
    run = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=HANG, check=False
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.mark.slow
# The workers' commands are alike but for the name, so one stands for all.
@pytest.mark.parametrize("name", sorted(set(COMMANDS) - set(WORKERS) | {"payment"}))
def test_each_command_is_one_that_exists_with_its_options(name: str):
    program, *arguments = COMMANDS[name]
    known = (
        _help(program, *arguments)
        + _help(program)
        + " ".join(f"--{option}" for option in flower_options)
    )

    assert [
        option
        for option in _options(arguments)
        if not re.search(rf"(?<![\w-]){option}(?![\w-])", known)
    ] == []


def _copied() -> list[str]:
    sources = [
        shlex.split(line)[1:-1]
        for line in DOCKERFILE.splitlines()
        if line.startswith("COPY") and "--from" not in line
    ]
    return [source for line in sources for source in line]


def test_the_image_is_built_from_what_is_there_and_nothing_else_is_sent():
    allowed = [
        line[1:]
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    ]

    assert [source for source in _copied() if not (ROOT / source).exists()] == []
    assert sorted(_copied()) == sorted(allowed)


def test_the_image_pins_what_it_is_built_from_and_runs_as_an_ordinary_user():
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)

    assert bases
    assert [base for base in bases if not PINNED.fullmatch(base)] == []
    assert {base.partition("@")[0] for base in bases} == {"python:3.11.14-slim-bookworm"}
    assert "--require-hashes" in DOCKERFILE
    assert re.findall(r"^USER (\S+)", DOCKERFILE, re.MULTILINE) == ["tidings"]


def test_the_build_tool_of_the_image_is_pinned_in_the_lock():
    [program] = re.findall(r"awk '([^']+)'", DOCKERFILE)

    cut = subprocess.run(
        ["awk", program, str(ROOT / "requirements-dev.txt")],
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    assert re.fullmatch(r"setuptools==\S+ \\\n(\s+--hash=sha256:[0-9a-f]{64}( \\)?\n)+", cut)


def test_each_image_of_others_is_the_version_that_the_documents_name_pinned_by_digest():
    images = {service["image"] for service in SERVICES.values()} - {OURS}

    assert [image for image in images if not PINNED.fullmatch(image)] == []
    assert {image.partition("@")[0] for image in images} == {
        "postgres:18-bookworm",
        "rabbitmq:4.2",
        "valkey/valkey:9",
    }
