"""The syntax of a search: terms, quotes, and mistakes that are told with their position."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from events.search.query import DEAD_LETTER_FIELDS, Query, Term, parse, written

ID = "01a21d25-1618-73c5-a0e7-4ec27f337013"


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("", []),
        (" \t ", []),
        ("type:order.created", [Term("type", "order.created")]),
        ("  type:a   user:b ", [Term("type", "a"), Term("user", "b")]),
        (f"correlation:{ID.upper()}", [Term("correlation", UUID(ID))]),
        ("since:2026-11-25", [Term("since", datetime(2026, 11, 25, tzinfo=UTC))]),
        ("until:2026-11-25", [Term("until", datetime(2026, 11, 26, tzinfo=UTC))]),
        ("until:2026-11-25T14:30", [Term("until", datetime(2026, 11, 25, 14, 30, tzinfo=UTC))]),
        ('error:"timed out"', [Term("error", "timed out")]),
        (r'error:"a \"b\" \\ c"', [Term("error", r'a "b" \ c')]),
        ("error:a:b=c", [Term("error", "a:b=c")]),
        ("error:50%_off.*", [Term("error", "50%_off.*")]),
        ('error:""', [Term("error", "")]),
        ("error:a error:b", [Term("error", "a"), Term("error", "b")]),
        ("data.customer.email=a@b", [Term("data", "a@b", ("customer", "email"))]),
        ("data.lines.0.sku:MUG", [Term("data", "MUG", ("lines", 0, "sku"))]),
        ('data.a="ü x"', [Term("data", "ü x", ("a",))]),
    ],
)
def test_a_query_is_read_as_its_terms(text: str, terms: list[Term]):
    assert parse(text) == Query(tuple(terms))


@pytest.mark.parametrize(
    ("text", "position", "reason"),
    [
        ("ORD-1001", 1, "ORD-1001 has no name before it"),
        ("type:a  ORD-1001", 9, "ORD-1001 has no name before it"),
        ("error:timed out", 13, "out has no name before it"),
        (":a", 1, ":a has no name"),
        ("type:", 6, "type has no value"),
        ("type: a", 6, "type has no value"),
        ("type:a typo:b", 8, "typo is nothing to search by; the names are type, subject"),
        ("type:a type:b", 8, "type is given twice"),
        ('error:"open', 7, "needs one closing quote"),
        ('error:"a"b', 7, "needs one closing quote"),
        ('error:a"b"', 8, "a quote stands inside a value"),
        (r'error:"a\n"', 7, "needs one closing quote"),
        ("correlation:x", 1, "write an id"),
        ("since:yesterday", 1, "write a date"),
        ("since:2026-13-01", 1, "write a date"),
        ("until:2026-W48", 1, "write a date"),
        ("until:2026-11-24 since:2026-11-25", 1, "write an until that is after since"),
        ("since:2026-11-25T14:30 until:2026-11-25T14:30", 24, "nothing lies between"),
        ("data.=x", 1, "is no path"),
        ("data.a..b=x", 1, "is no path"),
        ("data.a'b=x", 1, "is no path"),
        ("data.a$[0]=x", 1, "is no path"),
        ("queue:payment", 1, "queue is nothing to search by"),
        (" ".join(f"error:{n}" for n in range(21)), 171, "at most 20 terms"),
    ],
)
def test_a_mistake_is_told_with_its_position(text: str, position: int, reason: str):
    with pytest.raises(ValueError, match=f"^character {position}: ") as raised:
        parse(text)

    assert reason in str(raised.value)


@pytest.mark.parametrize("text", ["error:\0", "error:\x9b", "error:" + "x" * 1000, "error:\ud800"])
def test_what_is_no_text_or_too_long_is_refused(text: str):
    with pytest.raises(ValueError, match=r"character 7|at most 1000|shorter"):
        parse(text)


def test_dead_letters_have_names_of_their_own():
    text = 'queue:payment subscription:payment.charge_order fingerprint:"ValueError x.py:1 f"'

    names = [each.name for each in parse(text, DEAD_LETTER_FIELDS).terms]

    assert names == ["queue", "subscription", "fingerprint"]


@pytest.mark.parametrize("value", ["a", "a b", 'a "b"', "a\\", "", "a:b", "ü"])
def test_a_written_term_is_read_as_the_same_value(value: str):
    assert parse(written("error", value)).terms == (Term("error", value),)
