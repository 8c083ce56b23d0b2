"""Saved views of operators who save and remove them at the same moment."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from events import Database, reading, transaction
from events.admin import saved_views as views
from tests.servers import HANG

OPERATORS = 4


def _at_once(act: Callable[[int], object]) -> list[object]:
    """Let several operators act in transactions that begin together; return the outcomes."""
    together = Barrier(OPERATORS)

    def one(number: int) -> object:
        together.wait(timeout=HANG)
        try:
            return act(number)
        except views.UnknownView:
            return "unknown"

    with ThreadPoolExecutor(OPERATORS) as pool:
        return list(pool.map(one, range(OPERATORS)))


def _save(number: int) -> bool:
    with transaction() as session:
        return views.save(session, "events", "late", f"type:a{number}", who="ada", why="test")


def _remove(_: int) -> str:
    with transaction() as session:
        views.remove(session, "events", "late", who="ada", why="test")
    return "removed"


def test_one_of_several_saves_a_new_view_and_the_others_replace_it(any_database: Database) -> None:
    for _ in range(5):
        assert sorted(map(str, _at_once(_save))) == ["False"] * 3 + ["True"]
        with reading() as session:
            [view] = views.listed(session)
        assert view.name == "late"
        outcomes = _at_once(_remove)
        assert sorted(map(str, outcomes)) == ["removed"] + ["unknown"] * 3
