"""The export of dead letters: every one of them, and no formula for a spreadsheet."""

import csv
import json
from typing import NoReturn

import pytest

from events import Database, reading
from events.admin import dead_letter_export, dead_letters
from events.admin.dead_letter_export import csv_lines, json_lines, letters
from events.errors import DeadLetter
from events.testing import Bus
from tests.events.sample import Noted, new_subscription, note


def give_up(event: Noted, session: object) -> NoReturn:
    raise DeadLetter(event.text)


def die(*texts: str) -> None:
    with Bus(subscriptions=[new_subscription(give_up)], fail_fast=False) as bus:
        note(*texts)
        bus.drain()


def test_every_dead_letter_is_exported_once_page_by_page(
    any_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_letter_export, "_PAGE", 2)
    die(*"abcde")

    found = [json.loads(line) for line in json_lines(letters())]

    with reading() as session:
        assert [each["id"] for each in found] == [row.id for row in dead_letters.listed(session)]
    assert len({each["id"] for each in found}) == 5
    assert [*letters(queue="other")] == []


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", " =1", "\t=1", "\uff1dcmd", "\r\n=1"]
)
def test_no_cell_is_a_formula(database: Database, text: str) -> None:
    die("a")
    [letter] = letters()
    changed = vars(letter) | {"error": text, "subject": text, "fingerprint": text}

    rows = list(csv.reader(csv_lines([type(letter)(**changed)])))

    for cell in rows[1]:
        assert not cell.lstrip().startswith(("=", "+", "-", "@", "\uff1d"))
    assert len(rows[0]) == len(rows[1])


def test_an_error_of_several_lines_with_controls_is_one_line_with_escapes(
    database: Database,
) -> None:
    die('two\nlines, "quoted" \x1b[2J')

    [_, row] = csv.reader(csv_lines(letters()))

    assert row[-3].endswith('two lines, "quoted" \\u001b[2J')
