"""Docstrings of functions begin with a verb in the imperative, and none with a question word."""

import ast
import re
from collections.abc import Iterator

import pytest

from tests.tree import modules

QUESTIONS = {"what", "how", "whether", "who", "whose", "whom", "where", "which", "when", "why"}
NO_VERBS = (
    QUESTIONS
    | {
        "the",
        "a",
        "an",
        "this",
        "that",
        "these",
        "those",
        "it",
        "they",
        "its",
        "their",
        "we",
        "you",
        "he",
        "she",
        "one",
        "ones",
    }
    | {
        "all",
        "every",
        "each",
        "everything",
        "anything",
        "nothing",
        "something",
        "some",
        "any",
        "both",
        "no",
        "not",
        "none",
    }
    | {
        "if",
        "in",
        "on",
        "at",
        "by",
        "for",
        "from",
        "to",
        "of",
        "with",
        "without",
        "while",
        "until",
        "after",
        "before",
        "as",
        "so",
    }
)
# Verbs in the imperative that end like another form.
VERBS = {
    "pass",
    "process",
    "press",
    "express",
    "address",
    "discuss",
    "access",
    "guess",
    "focus",
    "bring",
    "ping",
}


def first_word(docstring: str) -> str:
    """Return the first word of a docstring in small letters, without its comma."""
    words = docstring.split(maxsplit=1)
    return words[0].strip(",.:;").lower() if words else ""


def is_imperative(word: str) -> bool:
    """Say whether a word may be an imperative: `Return`, not `Returns`, `The` or `What`."""
    if word in VERBS:
        return True
    return bool(re.fullmatch(r"[a-z]+", word)) and not (
        word in NO_VERBS or re.fullmatch(r".*(?:[^s]s|ing)", word)
    )


def _is_property(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    names = {getattr(each, "attr", getattr(each, "id", "")) for each in function.decorator_list}
    return bool(names & {"property", "cached_property"})


def badly_begun(source: str) -> Iterator[str]:
    """Yield line and beginning of each docstring that does not begin as it should."""
    documented = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module
    for node in ast.walk(ast.parse(source)):
        docstring = ast.get_docstring(node) if isinstance(node, documented) else None
        if docstring is None:
            continue
        word = first_word(docstring)
        verb = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not _is_property(node)
        if word in QUESTIONS or (verb and not is_imperative(word)):
            yield f"{getattr(node, 'lineno', 1)}: {docstring.splitlines()[0][:60]}"


def test_every_docstring_begins_with_a_verb_or_a_noun():
    found = {
        name: wrong for name, source in modules(tests=False) if (wrong := list(badly_begun(source)))
    }

    assert found == {}


@pytest.mark.parametrize(
    "source",
    [
        'def f():\n    """What it does."""',
        'def f():\n    """The order with this id."""',
        'def f():\n    """Returns the order."""',
        'async def f():\n    """`key` of the order."""',
        'def f():\n    """Whether it is open."""',
        'class A:\n    """How it is done."""',
        '@property\ndef f():\n    """What the customer pays."""',
        '"""Where things are."""',
    ],
)
def test_a_docstring_that_begins_wrongly_is_found(source: str):
    assert list(badly_begun(source)) != []


@pytest.mark.parametrize(
    "source",
    [
        'def f():\n    """Return the order."""',
        'def f():\n    """Pass it on."""',
        'class A:\n    """The order of a customer."""',
        '@property\ndef f():\n    """The price of the order."""',
        '"""The services, one file each."""',
        "def f():\n    pass",
    ],
)
def test_a_docstring_that_begins_rightly_is_not(source: str):
    assert list(badly_begun(source)) == []
