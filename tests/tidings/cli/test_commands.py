"""What `tidings` can do, and where else its commands are found."""

import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import click
import pytest

from events import Database
from tests import forked
from tests.servers import HANG
from tests.tidings.cli.calls import answered, call, told
from tests.tidings.up.instance import CLEARED
from tidings.cli import main
from tidings.cli.summaries import SUMMARIES

BIN = Path(sys.executable).parent


def test_every_command_can_be_imported_and_says_what_it_does():
    for name in main.list_commands(None):
        assert call(name, "--help").exit_code == 0


def test_the_help_lists_every_command_with_its_first_sentence():
    context = click.Context(main)
    names = main.list_commands(context)
    commands = {name: main.get_command(context, name) for name in names}

    assert dict(SUMMARIES) == {
        name: command.get_short_help_str(1000) for name, command in commands.items() if command
    }
    listed = call("--help").output
    assert [name for name in names if f"\n  {name} " not in listed] == []


def test_the_help_imports_neither_the_bus_nor_a_command():
    script = "import sys, tidings.cli as c; c.main(['-h'], standalone_mode=False)"
    asked = subprocess.run(
        [sys.executable, "-c", f"{script}; print(*sys.modules)"],
        capture_output=True,
        text=True,
        timeout=HANG,
        check=True,
    )
    page, modules = asked.stdout.rstrip().rsplit("\n", 1)

    assert "Bring the database up to date" in page
    assert {"events", "sqlalchemy", "tasks", "web"}.isdisjoint(modules.split())


def test_a_command_that_is_none_is_wrong_usage():
    result = call("fly")

    assert (result.exit_code, "No such command 'fly'" in result.stderr) == (2, True)


def test_a_command_that_reads_makes_no_database_where_there_is_none(tmp_path: Path):
    env = {name: value for name, value in os.environ.items() if name not in CLEARED}
    asked = forked.run("tidings", "queues", cwd=tmp_path, env=env)

    assert (asked.returncode, list(tmp_path.iterdir())) == (1, [])
    assert "has `tidings migrate` run?" in asked.stderr


def test_the_catalog_names_every_version_and_its_subscribers():
    entries = {(each["type"], each["version"]): each for each in answered("catalog")}

    assert entries["order.created", 1]["subscribers"] == []
    assert "inventory.reserve_stock" in entries["order.created", 2]["subscribers"]
    assert entries["payment.charged", 1]["source"] == "payment"
    assert "order.created" in told("catalog")


def test_the_catalog_tells_how_long_each_subscriber_is_retried():
    entries = {(each["type"], each["version"]): each for each in answered("catalog")}
    policy = entries["order.created", 2]["retries"]["email.confirm_receipt"]

    assert (policy["attempts"], policy["give_up_after"]) == (10, 5 * 86_400)
    assert policy["text"] == '10 attempts within 6 min; "not now" for 5 days'
    assert policy["text"] in told("catalog")


def test_the_catalog_gives_the_schema_of_each_version():
    assert "shipping_address" in told("catalog", "--schema", "order.created")
    assert "shipping_address" not in told("catalog", "--schema", "order.created", "--version", "1")


@pytest.mark.parametrize(
    "words",
    [
        ("--schema", "order.lost"),
        ("--schema", "order.created", "--version", "9"),
        ("--version", "1"),
    ],
)
def test_the_catalog_does_not_know_what_is_not_there(words: tuple[str, ...]):
    assert call("catalog", *words).exit_code == 2


@pytest.mark.parametrize(
    "value",
    [
        *("payment", "payment=", "=2", "payment=two", "payment=-1", "payment=1000"),
        *("payment=000000000999999", f"payment={'0' * 9}{'1' * 5000}"),
    ],
)
def test_a_scale_that_is_none_is_wrong_usage(value: str):
    result = call("up", "--scale", value)

    assert (result.exit_code, "write queue=number" in result.stderr) == (2, True)


def test_the_demo_says_when_nothing_answers():
    result = call("demo", "--url", "http://127.0.0.1:1", "--orders", "1")

    assert result.exit_code == 1
    assert "start the shop with `tidings up`" in result.stderr


@pytest.mark.parametrize("url", ["http://..", f"http://{'a' * 70}.example", "x"])
def test_the_demo_refuses_an_address_that_is_none(url: str):
    result = call("demo", "--url", url, "--orders", "1")

    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert "Error: " in result.stderr


@pytest.mark.parametrize(
    "body", ["", "<html>", "[]", '{"a": 1}', '{"products": [{"sku": 1}]}', '{"products": []}']
)
def test_the_demo_says_that_another_server_is_no_shop(body: str):
    class Another(BaseHTTPRequestHandler):
        """A server that is no shop."""

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Another) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        result = call("demo", "--url", url, "--orders", "1")
        server.shutdown()
        thread.join()

    assert result.exit_code == 1
    assert f"Error: {url}/api/v1/products answered, but it is no shop " in result.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("celery", "-A", "tasks"),
        pytest.param(("flask", "--app", "web:create_app"), marks=pytest.mark.slow),
    ],
)
def test_the_commands_are_found_under_celery_and_flask_too(words: tuple[str, ...], tmp_path: Path):
    program, *options = words
    asked = [str(BIN / program), *options, "tidings", "catalog", "--json"]

    result = subprocess.run(
        asked,
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={"SECRET_KEY": "x" * 32, "PATH": ""},
    )

    assert result.returncode == 0, result.stderr
    assert '"order.created"' in result.stdout


def test_a_database_without_tables_is_told_in_one_line_with_what_to_do(
    tmp_path, monkeypatch: pytest.MonkeyPatch
):
    empty = Database(f"sqlite:///{tmp_path / 'empty.sqlite'}")
    monkeypatch.setattr("events.database._database", empty)

    result = call("queues")
    empty.close()

    assert result.exit_code == 1
    assert result.stderr.endswith("; has `tidings migrate` run?\n")
