"""`tidings up` as a whole: real processes, started, killed and ended."""

import signal
import socket
from collections.abc import Iterator
from email import message_from_bytes, policy
from pathlib import Path

import pytest

from events import heartbeat
from events.database import Database
from tests.servers import HANG, free_port, wait_until
from tests.tidings.up.instance import Instance, gone, title
from tidings.http_client import open_client
from tidings.up.data_dir import DataDir

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """An instance with two payment workers, for the tests that leave it running."""
    instance = Instance(tmp_path_factory.mktemp("up"), "--scale", "payment=2")
    instance.start()
    yield instance
    instance.stop(within=HANG)


def test_an_order_goes_all_the_way_and_its_mails_are_kept(running: Instance):
    order = running.order()

    wait_until(lambda: running.status(order) == "shipped", what="shipped")
    wait_until(lambda: len(list((running.data / "mail").glob("*.eml"))) >= 3, what="three mails")


def test_it_says_that_the_gateways_are_the_sandbox(running: Instance):
    log = running.log()

    assert "built-in sandbox: no card is charged, no parcel is sent" in log
    assert log.count("gateways.sandbox") == 3  # two workers of payment, one of shipping


def test_the_links_in_mails_open_the_page_of_the_order(running: Instance):
    begin = f"http://127.0.0.1:{running.port}"
    assert f"mails:  their links begin with {begin} (PUBLIC_URL)" in running.log()
    order = running.order()
    page = f"/orders/{order['id']}?token={order['token']}"

    def mails() -> list[str]:
        raw = [path.read_bytes() for path in (running.data / "mail").glob("*.eml")]
        parsed = [message_from_bytes(each, policy=policy.default) for each in raw]
        texts = [str(each.get_content()) for each in parsed]
        return [each for each in texts if order["id"] in each]

    wait_until(lambda: len(mails()) == 3, what="three mails")
    assert all(begin + page in mail.splitlines() for mail in mails())
    with open_client(begin, timeout=HANG) as client:
        answer = client.get(page)
    assert (answer.status_code, order["number"] in answer.text) == (200, True)


def test_a_scaled_queue_has_that_many_workers(running: Instance):
    database = Database(f"sqlite:///{running.data / 'tidings.sqlite'}")
    with database.reading() as session:
        queues = [queue for each in heartbeat.alive(session, within=3600) for queue in each.queues]
    database.close()

    assert queues.count("payment") == 2
    assert queues.count("email") == 1


def test_the_web_is_one_process_which_the_supervisor_itself_watches(running: Instance):
    [web] = running.titled("tidings: tidings web")

    assert web.children() == []


@pytest.mark.parametrize(
    "name", ["celeryd: email@", "tidings relay", "tidings: tidings web", "flower", "valkey-server"]
)
def test_a_process_that_is_killed_is_started_again_and_says_so(running: Instance, name: str):
    killed = running.titled(name)[0]
    said = running.log().count("was killed by SIGKILL")

    killed.kill()

    wait_until(
        lambda: running.log().count("was killed by SIGKILL") > said, what="the line in the log"
    )
    wait_until(
        lambda: [each for each in running.titled(name) if each != killed], what=f"another {name}"
    )
    order = running.order()  # at once: the supervisor keeps the socket open while the web is away
    wait_until(lambda: running.status(order) == "shipped", what="shipped")


def test_a_second_up_on_the_same_data_says_who_has_it(running: Instance):
    second = running.beside(
        "--data-dir",
        str(running.data),
        "--port",
        str(free_port()),
        "--flower-port",
        str(free_port()),
    )

    assert second.returncode == 1
    assert f"another `tidings up` (pid {running.pid}) is using" in second.stderr
    assert second.stderr.count("\n") == 1


def test_a_second_up_on_the_same_ports_says_so_and_starts_nothing(
    running: Instance, tmp_path: Path
):
    for taken, free, option in (
        (running.port, "--flower-port", "--port"),
        (running.flower_port, "--port", "--flower-port"),
    ):
        second = running.beside(
            "--data-dir", str(tmp_path / "other"), option, str(taken), free, str(free_port())
        )

        assert second.returncode == 1
        assert f"port {taken} cannot be used: pid " in second.stderr
        assert f"name another {option}" in second.stderr
        assert not (tmp_path / "other" / "tidings.sqlite").exists()


def test_scaling_a_queue_that_is_none_is_wrong_usage(running: Instance, tmp_path: Path):
    ports = ("--port", str(free_port()), "--flower-port", str(free_port()))

    wrong = running.beside("--data-dir", str(tmp_path / "other"), *ports, "--scale", "pay=2")

    assert (wrong.returncode, "no subscription or task uses queue 'pay'" in wrong.stderr) == (
        2,
        True,
    )


def test_flower_wants_the_ops_login_and_knows_the_workers(running: Instance):
    user, _, password = running.login().partition(":")
    path = "/api/workers?refresh=1"  # Flower then asks the workers, over the broker
    with open_client(f"http://127.0.0.1:{running.flower_port}", timeout=HANG) as client:
        assert client.get(path).status_code == 401
        known = ""

        def knows() -> bool:
            nonlocal known
            answer = client.get(path, auth=(user, password))
            known = f"{answer.status_code} {answer.text[:500]}"
            return "payment-2@" in answer.text

        wait_until(knows, what=lambda: f"payment-2 in Flower, which says {known},")


def test_no_secret_stands_in_a_process_title_and_everything_listens_on_loopback(running: Instance):
    password = running.login().partition(":")[2]
    processes = running.processes()
    listening = {
        each.laddr.ip
        for process in processes
        for each in process.net_connections("tcp")
        if each.status == "LISTEN"
    }

    assert not [each for each in processes if password in title(each)]
    assert listening == {"127.0.0.1"}


@pytest.mark.slow
def test_nothing_outlives_a_supervisor_that_is_killed_and_the_next_one_finishes_its_orders(
    tmp_path: Path,
):
    instance = Instance(tmp_path, LEASE="6", TASK_TIME_LIMIT="5", TASK_SOFT_TIME_LIMIT="4")
    instance.start()
    order, login, processes = instance.order(), instance.login(), instance.processes()

    instance.end(signal.SIGKILL)
    instance.start(within=HANG)  # waits for what is left of the first one

    assert gone(processes)
    assert instance.login() == login
    wait_until(lambda: instance.status(order) == "shipped", what="shipped")
    assert instance.end(signal.SIGINT) == 0


@pytest.mark.slow
def test_a_migration_that_fails_ends_up_with_its_reason(tmp_path: Path):
    instance = Instance(tmp_path, DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    instance.launch()

    wait_until(lambda: not instance.running(), what="the end")

    assert instance.said("the database at postgresql://nobody@127.0.0.1:1/none failed: ")
    assert instance.said("Error: the migration failed with exit code 1")


def test_no_other_user_can_read_a_file_of_the_data_directory(running: Instance):
    running.order()
    reachable = [running.data, *running.data.iterdir()]

    assert {path.name for path in reachable} > {"tidings.sqlite", "mail", "broker", "ops_auth"}
    assert [path for path in reachable if path.lstat().st_mode & 0o077] == []


def test_sigterm_ends_everything_and_leaves_no_process_and_no_lock(running: Instance):
    """The last test of this file: nothing runs after it."""
    processes = running.processes()

    assert running.end(signal.SIGTERM) == 0

    assert gone(processes)
    assert not [line for line in running.log().splitlines() if "killing" in line]
    with socket.create_server(("127.0.0.1", running.port)), DataDir(running.data).locked():
        pass
