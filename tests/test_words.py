"""Words that were given up for those of the libraries and of the field do not come back."""

import ast
import re
from collections.abc import Iterator

import pytest

from tests.tree import modules, texts

# Lists of packages and licences hold words of others.
NOT_OURS = {"requirements.txt", "requirements-dev.txt", "LICENSE", "tests/test_words.py"}
# Each pattern, in any text of ours and in the names of files, with the word that replaced it.
IN_TEXT = {
    r"doorbells?": "task message",
    r"rings?|ringing|rung|Rung|RUNG": "send, in flight",
    r"[Ss]trays?|STRAYS?": "invalid message",
    r"[Hh]earers?|[Hh]eard[ _]by": "subscribers",
    r"KeepingConsumer|[Uu]nfit|_unfit\w*": "Consumer, validate, InvalidMessage",
    r"[Oo]utward|[Ii]nward": "publisher, worker",
    r"Haste|Pulse|CrashCounting|Overtime|overtime|OVERTIME": "ShortLockTimeout, Heartbeat, ...",
    r"LossWatch": "LostMessageDetector",
    r"take_due|take_back|_may_go": "mark_due_as_sent, unmark_sent, hold_back_suspects",
    r"BigKey|Moment|Shaped|add_missing": "BigIntPK, UTCDateTime, PydanticType, insert_if_absent",
    r"storable|in_words|[Uu]nwritable|_abandon": "sanitize_text, describe_error, ...",
    r"tries|(?:each|every|next|first|last|one|failed|third|a) try": "attempts",
    r"[Ww]ish(?:es)?": "command",
    r"stranded|untold": "stuck, has_unrelayed_events",
    r"[Cc]atalogues?": "products, or event catalog",
    r"[Ee]rrands?|[Rr]egret(?:s|ted)?": "PlannedOrder, cancel_after",
    r"call_off|give_back|call_back|order_story|ops_answers|mailsink": "see the code",
}
# Names of functions, classes, parameters and variables, with those that replaced them.
NAMES = {
    r"ALONE|HELD|SOME|MARGIN|MOST|KEPT|SWEPT": "a constant named by what it limits",
    r"\w*PATIENCE\w*": "LOCK_TIMEOUT, SOCKET_TIMEOUT, STARTUP_TIMEOUT, RETRY_DELAY, ...",
    r"\w*LONGEST\w*": "MAX_...",
    r"(?:\w+_)?tries(?:_\w+)?": "attempts",
    r"erases|telling": "register_eraser, searchable",
    r"Story|hurt|Happened|Heard|HOLDER|Many|Why|Interrupted": "OrderProgress, worst_delivery, ...",
    r"insist|diary|carefully|one_of|_be": "request_until_answered, journal, guarded, or_ok, ...",
}
# Names of functions, in one folder only: elsewhere they are ordinary words.
FUNCTIONS = {
    "events/": r"lose|crash|seen|forget|told|_told|without|blank|_blank|locked|look",
    "tasks/": r"stranded|opening|news|letter|adopt|forget|told",
    "web/": r"tell|held|_story|_untold",
    "tidings/": r"strike|tend|chance|said|told|home|found|plan|preload",
}
BUILTINS = {"type", "id", "exit", "filter"}
MODULES = {
    "events": "control facts strays sending loss fanout wakeup upsert pydantic_type",
    "events/transport": "outward inward steps overtime crashes keeping",
    "tasks": "wishes opening unfinished mails rows columns",
    "tidings/cli": "letters subscribers contract log group operator printing",
    "tidings/up": "found home plan preload mailsink",
    "web": "answers ops_answers typed formats requests documentation order_story",
}


def _patterns(words: dict[str, str]) -> list[tuple[re.Pattern[str], str]]:
    return [
        (re.compile(rf"(?<![A-Za-z])(?:{word})(?![A-Za-z])"), new) for word, new in words.items()
    ]


def in_text(text: str) -> dict[str, str]:
    """Return the retired words of a text with their replacements."""
    return {match.group(): new for word, new in _patterns(IN_TEXT) for match in word.finditer(text)}


def defined(tree: ast.AST) -> Iterator[tuple[str, bool]]:
    """Yield each name that a file defines, and whether it is a function's."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, True
        elif isinstance(node, ast.ClassDef):
            yield node.name, False
        elif isinstance(node, ast.arg):
            yield node.arg, False
        elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.id if isinstance(node, ast.Name) else node.attr, False


def names_in(source: str, file: str = "") -> dict[str, str]:
    """Return the retired names that the source of a file defines with their replacements."""
    found: dict[str, str] = {}
    for name, function in defined(ast.parse(source)):
        for word, new in NAMES.items():
            if re.fullmatch(word, name):
                found[name] = new
        for folder, words in FUNCTIONS.items():
            if function and file.startswith(folder) and re.fullmatch(words, name):
                found[name] = "see the code"
    return found


def builtins_in(source: str) -> list[str]:
    """Return the variables and parameters that hide a builtin, with their lines.

    Attributes of a class may have these names, and so may the keywords of a class statement.
    """
    tree = ast.parse(source)
    allowed: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            allowed |= {
                target
                for statement in node.body
                if isinstance(statement, ast.Assign | ast.AnnAssign)
                for target in ast.walk(statement)
            }
        elif isinstance(node, ast.FunctionDef) and node.name == "__init_subclass__":
            allowed |= set(ast.walk(node))
    return [
        f"{node.lineno}: {name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.arg | ast.Name) and node not in allowed
        if isinstance(node, ast.arg) or isinstance(node.ctx, ast.Store)
        if (name := node.arg if isinstance(node, ast.arg) else node.id) in BUILTINS
    ]


def test_no_retired_word_is_in_any_text():
    found = {
        name: words
        for name, text in texts().items()
        if name not in NOT_OURS and (words := in_text(f"{name}\n{text}"))
    }

    assert found == {}


def test_nothing_has_a_retired_name():
    found = {
        name: names
        for name, source in modules()
        if name not in NOT_OURS and (names := names_in(source, name))
    }

    assert found == {}


def test_no_variable_hides_a_builtin():
    assert {name: found for name, source in modules() if (found := builtins_in(source))} == {}


def test_no_module_has_a_retired_name():
    retired = {f"{folder}/{stem}.py" for folder, stems in MODULES.items() for stem in stems.split()}

    assert retired & texts().keys() == set()


@pytest.mark.parametrize(
    "text",
    [
        "the doorbell rings",
        "RUNG = 1",
        "heard_by",
        "each try",
        "`wish`",
        "in_words(error)",
        "strays",
    ],
)
def test_a_retired_word_is_found(text: str):
    assert in_text(text) != {}


@pytest.mark.parametrize(
    "text",
    ["a string", "retries", "it is tried again", "in a moment", "entries", "during", "strayed"],
)
def test_a_word_that_looks_like_one_is_not(text: str):
    assert in_text(text) == {}


def test_a_retired_name_is_found_where_it_is_defined_and_not_where_others_define_it():
    assert names_in("def f(tries): pass").keys() == {"tries"}
    assert names_in("class A:\n    def look(self): pass", "events/a.py").keys() == {"look"}
    assert names_in("def look(): pass", "web/a.py") == {}
    assert names_in("look = row.tries", "events/a.py") == {}
    assert builtins_in("def f(type): pass") == ["1: type"]
    assert builtins_in("[id for id in rows]") == ["1: id"]
    assert builtins_in("class A:\n    id: int\n    type = ''\nf(id=1)\nrow.id = 2") == []
