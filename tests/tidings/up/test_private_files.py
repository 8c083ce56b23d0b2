"""The data directory among other users of the machine."""

import fcntl
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from tidings.up.data_dir import CannotStart, DataDir

NOBODY = 65534
needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def _start(folder: Path) -> DataDir:
    data_dir = DataDir(folder)
    with data_dir.locked():
        return data_dir


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o775, 0o722, 0o707])
def test_a_folder_to_which_others_could_write_is_closed(tmp_path: Path, mode: int):
    (folder := tmp_path / "data").mkdir()
    folder.chmod(mode)

    assert _start(folder).mode_before == mode
    assert _mode(folder) == 0o700


@pytest.mark.parametrize("name", ["mail", "broker"])
def test_a_folder_in_it_is_closed(tmp_path: Path, name: str):
    (inside := tmp_path / name).mkdir()
    inside.chmod(0o777)

    _start(tmp_path)

    assert _mode(inside) == 0o700


@pytest.mark.parametrize(
    "name", ["tidings.sqlite", "tidings.sqlite-wal", "up.lock", "ops_auth", "secret_key"]
)
def test_a_file_that_others_could_read_is_closed_with_its_contents(tmp_path: Path, name: str):
    (file := tmp_path / name).write_text("")
    file.chmod(0o666)

    _start(tmp_path)

    assert _mode(file) == 0o600


def test_a_folder_that_is_meant_for_all_is_refused_and_left_as_it_is(tmp_path: Path):
    tmp_path.chmod(0o1777)

    with pytest.raises(CannotStart, match=r"mode 1777.*name another --data-dir"):
        _start(tmp_path)
    assert _mode(tmp_path) == 0o1777


LINKED = ["mail", "broker", "up.lock", "ops_auth", "secret_key", "flower_url", "tidings.sqlite"]


@pytest.mark.parametrize("name", LINKED)
@pytest.mark.parametrize("make", [Path.mkdir, Path.touch, lambda _: None], ids=["d", "f", "none"])
def test_a_symbolic_link_in_it_is_refused_and_not_followed(
    tmp_path: Path, name: str, make: Callable[[Path], None]
):
    make(elsewhere := tmp_path / "elsewhere")
    if elsewhere.is_file():
        elsewhere.write_text("precious")
    (data := tmp_path / "data").mkdir()
    (data / name).symlink_to(elsewhere)

    with pytest.raises(CannotStart, match=f"{name} is a symbolic link.*or name another"):
        _start(data)
    assert not elsewhere.is_file() or elsewhere.read_text() == "precious"


def test_the_socket_elsewhere_is_in_no_folder_that_a_link_chose(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    data = DataDir(tmp_path / ("x" * 120))
    (tmp_path / "target").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    data.broker_socket.parent.symlink_to(tmp_path / "target")

    with pytest.raises(CannotStart, match="is a symbolic link"), data.locked():
        pass


def test_a_link_of_ones_own_to_the_data_directory_is_followed(tmp_path: Path):
    (tmp_path / "disk").mkdir()
    (link := tmp_path / "data").symlink_to(tmp_path / "disk")

    assert (_start(link).folder / "up.lock").is_file()


@pytest.mark.parametrize("content", [b"", b" \n", b"ops:\xff", b"ops:a\nb", b"\xef\xbb\xbfops:abc"])
def test_a_secret_that_is_none_is_refused_and_not_shown(tmp_path: Path, content: bytes):
    (tmp_path / "ops_auth").write_bytes(content)

    with pytest.raises(CannotStart, match=r"ops_auth is not one line with a secret; delete it"):
        _start(tmp_path).secret("ops_auth", lambda: "ops:another")
    assert (tmp_path / "ops_auth").read_bytes() == content


def test_a_lock_whose_file_names_no_process_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("tidings.up.data_dir.LOCK_TIMEOUT", 0.0)
    (tmp_path / "up.lock").write_bytes(b"\xffnone")

    with (tmp_path / "up.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(CannotStart, match="processes of an earlier `tidings up`"):
            _start(tmp_path)


@pytest.mark.parametrize("name", ["file", "to_file", "to_nothing", "loop"])
def test_what_is_no_folder_is_refused_by_its_name(tmp_path: Path, name: str):
    (tmp_path / "file").write_text("precious")
    for link, target in (("to_file", "file"), ("to_nothing", "nothing"), ("loop", "loop")):
        (tmp_path / link).symlink_to(tmp_path / target)
    kind = "no folder" if name == "file" else "a symbolic link to no folder"

    with pytest.raises(CannotStart, match=f"/{name} is {kind}; move it away, or name another"):
        _start(tmp_path / name)
    assert (tmp_path / "file").read_text() == "precious"
    assert not (tmp_path / "nothing").exists()


@needs_root
@pytest.mark.parametrize("name", [".", "mail", "broker", "up.lock", "ops_auth", "tidings.sqlite"])
def test_what_belongs_to_another_user_is_refused(tmp_path: Path, name: str):
    path = tmp_path / name
    if name in ("mail", "broker"):
        path.mkdir()
    elif name != ".":
        path.touch()
    os.chown(path, NOBODY, NOBODY)

    with pytest.raises(CannotStart, match="belongs to another user; name another --data-dir"):
        _start(tmp_path)


@needs_root
def test_a_link_of_another_user_to_the_data_directory_is_refused(tmp_path: Path):
    (tmp_path / "disk").mkdir()
    (link := tmp_path / "data").symlink_to(tmp_path / "disk")
    os.lchown(link, NOBODY, NOBODY)

    with pytest.raises(CannotStart, match="symbolic link of another user"):
        _start(link)


@needs_root
def test_a_folder_that_others_use_is_refused_and_left_as_it_is(tmp_path: Path):
    tmp_path.chmod(0o777)
    (theirs := tmp_path / "theirs").touch()
    os.chown(theirs, NOBODY, NOBODY)

    with pytest.raises(CannotStart, match="is used by other users"):
        _start(tmp_path)
    assert _mode(tmp_path) == 0o777
