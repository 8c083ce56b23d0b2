"""Statements that are compiled before a process forks, and engines that are made when used."""

import gc
import threading

from sqlalchemy import Engine, create_engine

from events import Database, database, heartbeat
from events.admin import subscriptions, worker_versions
from events.dialects import direct
from events.dialects.dialect import LazyEngine
from events.dialects.prepared import compile_all
from events.subscriptions import registered


def test_a_worker_that_starts_compiles_no_statement(any_database: Database) -> None:
    direct.compile_once.cache_clear()
    compile_all(any_database.dialect.name)
    before = direct.compile_once.cache_info().misses

    subscriptions.touch(registered().values())
    heartbeat.beat("notes@here", "worker", ["notes"], version="1.0")
    heartbeat.beat("notes@here", "worker", ["notes"], version="1.0")
    worker_versions.record(["notes"], "1.0")
    heartbeat.leave("notes@here")

    assert direct.compile_once.cache_info().misses == before


def test_a_prepared_database_has_its_engines_and_is_taken_once() -> None:
    database.prepare(urgent=True)

    def engines_made(urgent: bool) -> int:
        before = _engines()  # kept, so that none of them is collected meanwhile
        kept.append(database.own(urgent=urgent))
        assert kept[-1].writer is not kept[-1].reader
        return len(_engines() - before)

    kept = list[Database]()
    assert [engines_made(urgent) for urgent in (False, True, True)] == [2, 0, 2]


def _engines() -> set[Engine]:
    return {each for each in gc.get_objects() if isinstance(each, Engine)}


def test_threads_that_use_an_engine_first_at_the_same_time_share_it() -> None:
    makes, together = [], threading.Barrier(4)

    def make() -> Engine:
        makes.append(create_engine("sqlite://"))
        return makes[-1]

    def use_it() -> None:
        together.wait()
        engines.add(lazy.get())

    lazy, engines = LazyEngine(make), set[Engine]()
    threads = [threading.Thread(target=use_it) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert engines == set(makes)
    assert len(makes) == 1
