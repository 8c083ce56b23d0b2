"""The parts of `up`, each by itself."""

import io
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from events.environment import InvalidSettings
from tests.disks import Disk
from tests.servers import free_port
from tests.tidings.up.instance import TIDINGS
from tidings.up import broker, discovery, ports
from tidings.up.data_dir import CannotStart, DataDir, new_ops_login
from tidings.up.output import Output
from tidings.up.processes import (
    Options,
    Sockets,
    UnknownQueue,
    environment,
    worker_counts,
)
from tidings.up.supervisor import describe_exit, restart_delay


@pytest.fixture
def sockets() -> Iterator[Sockets]:
    opened = Sockets(ports.listen(0, "--port"), ports.listen(0, ""))
    yield opened
    opened.close()


@pytest.mark.parametrize(
    ("deaths", "seconds"), [(1, 0.5), (2, 1.0), (3, 2.0), (5, 8.0), (6, 10.0), (10_000, 10.0)]
)
def test_a_process_that_keeps_dying_waits_longer_up_to_ten_seconds(deaths: int, seconds: float):
    assert restart_delay(deaths) == seconds


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (-9, "was killed by SIGKILL"),
        (-35, "was killed by signal 35"),
        (3, "ended with exit code 3"),
    ],
)
def test_the_exit_of_a_process_is_described(code: int, words: str):
    assert describe_exit(code) == words


def test_each_line_carries_the_name_of_who_said_it():
    stream = io.BytesIO()
    output = Output(stream, terminal=False)
    output.reserve("payment", "web")

    output.feed("web", b"one\ntw")
    output.feed("payment", b"ready\r\n\n")
    output.feed("web", b"o\nhalf")
    output.end("web")

    assert stream.getvalue() == b"web     | one\npayment | ready\nweb     | two\nweb     | half\n"


def test_a_line_of_json_passes_as_it_is_for_programs_and_gets_its_name_for_people():
    for terminal, expected in (
        (False, b'{"event": "x"}\n'),
        (True, b"\x1b[36mweb | \x1b[0m" + b'{"event": "x"}\n'),
    ):
        stream = io.BytesIO()
        output = Output(stream, terminal=terminal)
        output.reserve("web")

        output.feed("web", b'{"event": "x"}\n')

        assert stream.getvalue() == expected


def test_a_line_that_never_ends_is_cut_and_not_kept_in_memory():
    stream = io.BytesIO()
    output = Output(stream, terminal=False)

    for _ in range(3):
        output.feed("web", b"x" * 60_000)

    assert stream.getvalue() == b"web | " + b"x" * 120_000 + b"\n"


def test_secrets_stay_the_same_and_nobody_else_can_read_them(tmp_path: Path):
    data_dir = DataDir(tmp_path / "var")
    with data_dir.locked():
        first = data_dir.secret("ops_auth", new_ops_login)

        assert data_dir.secret("ops_auth", new_ops_login) == first
        assert stat.S_IMODE((data_dir.folder / "ops_auth").stat().st_mode) == 0o600
        assert stat.S_IMODE(data_dir.folder.stat().st_mode) == 0o700


def test_a_data_directory_is_used_by_one_at_a_time(tmp_path: Path):
    data_dir = DataDir(tmp_path)
    program = (
        "import sys, pathlib, tidings.up.data_dir as up\n"
        "with up.DataDir(pathlib.Path(sys.argv[1])).locked(): pass"
    )
    with data_dir.locked():
        again = subprocess.run(
            [sys.executable, "-c", program, str(tmp_path)],
            capture_output=True,
            text=True,
            check=False,
        )

    assert "another `tidings up` (pid " in again.stderr
    with data_dir.locked():
        pass


@pytest.mark.parametrize(
    ("trouble", "told"),
    [
        (Disk.fill, "No space left on device"),
        pytest.param(Disk.seal, "Read-only file system", marks=pytest.mark.slow),
    ],
)
def test_a_data_directory_that_cannot_be_written_is_said_in_one_line(
    trouble: Callable[[Disk], None], told: str, disk: Disk, tmp_path: Path
):
    trouble(disk)
    refused = subprocess.run(
        [TIDINGS, "up", "--data-dir", str(disk.folder)], capture_output=True, text=True, check=False
    )

    assert refused.returncode == 1
    assert refused.stderr == (
        f"Error: {disk.folder} cannot be used: {told}; correct that, or name another --data-dir\n"
    )


def test_a_data_directory_with_a_long_or_odd_name_has_its_socket_elsewhere(tmp_path: Path):
    assert DataDir(tmp_path / "var").broker_socket == tmp_path / "var" / "broker.sock"
    for name in ("x" * 120, "with space", "frage?"):
        elsewhere = DataDir(tmp_path / name).broker_socket
        assert len(str(elsewhere)) < 100
        assert elsewhere != DataDir(tmp_path / f"{name}2").broker_socket


def test_a_port_in_use_is_told_with_who_uses_it():
    with ports.listen(0, "--port") as taken:
        port = taken.getsockname()[1]

        with pytest.raises(
            CannotStart, match=rf"port {port} cannot be used: pid \d+ \(.*name another --port"
        ):
            ports.listen(port, "--port")


def test_everything_is_bound_to_loopback(sockets: Sockets):
    assert {each.getsockname()[0] for each in sockets.all} == {"127.0.0.1"}


def test_the_environment_of_the_processes_is_complete_and_what_was_set_already_wins(
    tmp_path: Path, sockets: Sockets, monkeypatch: pytest.MonkeyPatch
):
    for name in ("DATABASE_URL", "BROKER_URL", "SECRET_KEY", "SMTP_URL", "MAIL_DIR", "PUBLIC_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPS_AUTH", "me:mine")
    monkeypatch.setenv("LOG_LEVEL", "DEBUG")

    made = environment(Options(flower_port=5555), DataDir(tmp_path), sockets)

    assert made["DATABASE_URL"] == f"sqlite:///{tmp_path}/tidings.sqlite"
    assert made["BROKER_URL"] == f"redis+socket://{tmp_path}/broker.sock"
    assert made["OPS_AUTH"] == made["FLOWER_BASIC_AUTH"] == "me:mine"
    assert len(made["SECRET_KEY"]) >= 32
    assert made["PUBLIC_URL"] == sockets.url
    assert "LOG_LEVEL" not in made


def test_flower_has_a_login_of_its_own_while_it_can_take_none_of_ops_auth(
    tmp_path: Path, sockets: Sockets, monkeypatch: pytest.MonkeyPatch
):
    def flower_login(logins: str) -> str:
        monkeypatch.setenv("OPS_AUTH", logins)
        return environment(Options(flower_port=5555), DataDir(tmp_path), sockets)[
            "FLOWER_BASIC_AUTH"
        ]

    (tmp_path / "up.lock").touch()

    assert flower_login("me:mine:operator,you:yours:viewer") == "me:mine"
    own = flower_login("you:yours:viewer")
    assert len(own) > 16
    assert own == flower_login("me:scrypt:32768:8:1$salt$00ff")
    assert discovery.environment(tmp_path)["FLOWER_BASIC_AUTH"] == own


def test_a_login_of_the_data_directory_that_is_none_is_named(
    tmp_path: Path, sockets: Sockets, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("OPS_AUTH", raising=False)
    (tmp_path / "ops_auth").write_text("me:mine:operater\n")

    with pytest.raises(InvalidSettings, match="OPS_AUTH has a role that"):
        environment(Options(flower_port=5555), DataDir(tmp_path), sockets)


def test_the_address_of_flower_has_its_prefix(
    tmp_path: Path, sockets: Sockets, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("FLOWER_URL", raising=False)
    monkeypatch.setenv("FLOWER_URL_PREFIX", "flower")

    made = environment(Options(flower_port=5555), DataDir(tmp_path), sockets)

    assert made["FLOWER_URL"] == "http://127.0.0.1:5555/flower"


def test_each_queue_has_one_worker_unless_told_otherwise():
    assert worker_counts({"payment": 3})["payment"] == 3
    assert worker_counts({"payment": 3})["email"] == 1


def test_scaling_a_queue_that_nobody_listens_on_names_those_there_are():
    with pytest.raises(UnknownQueue, match=r"'pay'.*payment"):
        worker_counts({"pay": 2})


def test_a_broker_that_is_not_there_does_not_answer(tmp_path: Path):
    assert not broker.answers(tmp_path / "nobody.sock")
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "deaf.sock"))
        assert not broker.answers(tmp_path / "deaf.sock")


def test_a_port_is_free_again_after_the_look():
    port = free_port()

    assert ports.find_free(port, "--flower-port") == port
    assert ports.find_free(port, "--flower-port") == port


def test_a_port_that_somebody_took_during_a_restart_gives_way_to_another():
    port = free_port()

    assert ports.find_again(port) == port
    with socket.create_server(("127.0.0.1", port)):
        assert ports.find_again(port) not in (port, 0)
