"""States in which a real Valkey answers and refuses: loading, unable to save, out of memory."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from redis.exceptions import RedisError

from tests.servers import Valkey, wait_until

KEYS, DELAY = 4000, 50_000  # keys, and microseconds for each of them: minutes, cut short at the end


@contextmanager
def loading(valkey: Valkey) -> Iterator[None]:
    """Let it load its data, as after a restart with a large file."""
    with valkey.client() as client, client.pipeline() as filling:
        for number in range(KEYS):  # it answers others after each interval of its file
            filling.set(f"filling-{number}", os.urandom(2048))
        filling.execute()
        client.config_set("loading-process-events-interval-bytes", 1024)
        client.config_set("key-load-delay", DELAY)
    reloading = threading.Thread(target=_reload, args=[valkey])
    reloading.start()
    wait_until(lambda: not valkey.answers(), what="Valkey to load its data")
    try:
        yield
    finally:
        with valkey.client() as client:
            client.config_set("key-load-delay", 0)
        reloading.join()
        wait_until(valkey.answers, what="Valkey to have its data")
        with valkey.client() as client:
            client.delete(*(f"filling-{number}" for number in range(KEYS)))


def _reload(valkey: Valkey) -> None:
    with valkey.client() as client:
        try:
            client.execute_command("DEBUG", "RELOAD")
        except RedisError:
            """It answers when it has loaded, which is later than the client waits."""


@contextmanager
def unable_to_save(valkey: Valkey) -> Iterator[None]:
    """Let its snapshots fail, after which it refuses writes."""
    snapshot = valkey.home / "dump.rdb"
    snapshot.unlink(missing_ok=True)
    snapshot.mkdir()  # no file can be moved there
    with valkey.client() as client:
        client.config_set("save", "3600 1000000")
        _save(valkey, "err")
        try:
            yield
        finally:
            snapshot.rmdir()
            _save(valkey, "ok")
            client.config_set("save", "")


def _save(valkey: Valkey, outcome: str) -> None:
    with valkey.client() as client:
        client.bgsave()

        def ended() -> bool:
            found: Any = client.info("persistence")
            state = found["rdb_bgsave_in_progress"], found["rdb_last_bgsave_status"]
            return bool(state == (0, outcome))

        wait_until(ended, what=f"a snapshot to end with {outcome}")


@contextmanager
def out_of_memory(valkey: Valkey) -> Iterator[None]:
    """Leave it no memory; `noeviction` is its policy."""
    with valkey.client() as client:
        client.config_set("maxmemory", "1")
        try:
            yield
        finally:
            client.config_set("maxmemory", "0")
