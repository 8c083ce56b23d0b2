"""The glossary is what the docstrings say, and holds every word of the bus."""

import pytest

from docs import glossary

REQUIRED = """
event, envelope, catalog, publish, event log, subject, subscription, delivery, ledger, task
message, attempt, relay, transport, dispatch, dead letter, invalid message, quarantine, suspect,
lease, fingerprint, upcaster, process manager, compensation, projection, backfill, heartbeat,
claim, fan out, prune, erase, replay, discard, in flight, lost message, crash loop, publisher,
worker, idempotency key, audit, trace, retry, window, batch, relaxed commit, round
"""


def test_the_page_is_what_the_docstrings_say():
    assert glossary.PAGE.read_text() == glossary.page(), "write it anew with `make glossary`"


def test_no_word_is_missing():
    required = {word.strip() for word in REQUIRED.replace("\n", " ").split(",")}

    assert required - glossary.WORDS.keys() == set()


def test_no_two_words_have_the_same_meaning():
    meanings = [
        glossary.define(word, glossary.find(name)[0]) for word, name in glossary.WORDS.items()
    ]

    assert sorted(meanings) == sorted(set(meanings))


@pytest.mark.parametrize(
    ("word", "docstring", "meaning"),
    [
        ("lease", "seconds until it is asked for.", "Seconds until it is asked for."),
        ("suspect", "The rule. A suspect is a delivery. More.", "A suspect is a delivery."),
        ("dead letter", "Dead letters: deliveries that failed. More.", "Deliveries that failed."),
        ("subject", "Append. `subject` names the order.", "`subject` names the order."),
    ],
)  # fmt: skip
def test_a_meaning_is_the_sentence_that_begins_with_the_word_or_else_the_first(
    word: str, docstring: str, meaning: str
):
    assert glossary.define(word, docstring) == meaning
