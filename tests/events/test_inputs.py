"""The rules of values that people type: text and number."""

import json
import unicodedata

import pytest

from events.inputs import REASON, PlainText, escaped, integer, only_text

INVISIBLE = (
    "\u2800\u3164\u115f\u1160\uffa0\u200b\u2060\ufeff\u00ad\u034f\u061c\u180e\u17b4\u2064\u206a"
    "\ufff9\U000e0001\U000e0041\U0001d173\U0001bca0\U0001d159"
)
OBEYED = "\x00\x07\x1b\x7f\x80\x9b\x9d\u2028\u2029\u200e\u200f\u202a\u202e\u2066\u2069"


NO_CHARACTERS = "\ufffd\uffff\ud800\U0001fffe\U0010ffff"


@pytest.mark.parametrize("character", INVISIBLE + OBEYED + NO_CHARACTERS, ids=ascii)
def test_a_character_that_is_no_text_is_refused_and_named(character: str) -> None:
    with pytest.raises(ValueError, match=f"remove character 3, U\\+{ord(character):04X} ") as error:
        PlainText(100)(f"Ad{character}a")
    with pytest.raises(ValueError, match=r"remove character 4, "):
        REASON(f"Ada{character}")

    assert character not in str(error.value)


@pytest.mark.parametrize(
    "text", ["", "  ", "\u00a0\u3000", "\u200d", "\u200c\ufe0f", "\u0301", "\ue000", "\u180b"]
)
def test_a_text_of_which_nothing_can_be_seen_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="can be seen"):
        PlainText(100)(text)


@pytest.mark.parametrize(
    "text",
    [
        "Ada",
        "Åse Ørn",
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        "\u0915\u094d\u200d\u0937",
        "👩\u200d🚀",
        "❤\ufe0f",
        "葛\U000e0100城",
        "!",
        "Nguyễn",
        "\u05d1\u05b0\u05bc\u05e8\u05b5\u05d0\u05e9\u05b4\u05c1\u0596\u05d9\u05ea",
        "\U0001fae9",
    ],
)
def test_a_text_that_people_write_is_kept(text: str) -> None:
    assert PlainText(100)(f" {text}\u00a0") == text


@pytest.mark.parametrize("mark", ["\u0301", "\u0489", "\u20dd", "\u0e49"])
def test_marks_that_are_piled_upon_a_letter_are_refused(mark: str) -> None:
    with pytest.raises(ValueError, match="remove the mark at character"):
        PlainText(100)("Ada" + 12 * mark)


def test_letters_are_composed_so_that_one_name_is_one_text() -> None:
    assert PlainText(100)(unicodedata.normalize("NFD", "Zoë")) == "Zoë"


def test_a_text_has_a_length_and_may_be_optional() -> None:
    assert PlainText(3)("abc ") == "abc"
    assert PlainText(3, optional=True)(" ") == ""
    with pytest.raises(ValueError, match="at most 3 characters"):
        PlainText(3)("abcd")
    with pytest.raises(ValueError, match="plain text on one line"):
        PlainText(3)("a\nb")


def test_a_reason_may_be_typed_on_several_lines() -> None:
    assert REASON(" changed\r\n my\tmind\n") == "changed  my mind"
    with pytest.raises(ValueError, match=r"U\+2028"):
        REASON("a\u2028b")


@pytest.mark.parametrize(("text", "number"), [("12", 12), (" 7 ", 7), ("-1", -1), ("+3", 3)])
def test_a_number_is_read(text: str, number: int) -> None:
    assert integer(text) == number


@pytest.mark.parametrize(
    "text",
    [
        "1_0",
        "\uff11\uff10",
        "\u0663",
        "²",
        "1.0",
        "1e3",
        "0x10",
        "",
        "9" * 5000,
        str(2**63),
        "- 1",
        "1 0",
    ],
)
def test_what_only_a_program_would_read_as_a_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="whole number in digits"):
        integer(text)


def test_what_a_terminal_would_obey_is_escaped_and_json_stays_json() -> None:
    assert escaped("a\x9bm\u202e\x1b") == "a\\u009bm\\u202e\\u001b"
    nasty = "\x7f\x9b\u2028\U000e0041"
    assert json.loads(escaped(json.dumps(nasty, ensure_ascii=False))) == nasty


def test_what_nobody_can_mend_is_left_out() -> None:
    assert only_text("evil\x00\x1b[31m\u200b") == "evil[31m"
