"""Writes docs/glossary.md: each word with the sentence of the docstring that defines it."""

import importlib
import inspect
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "glossary.md"
# Each word with the module, class, function or setting that it names.
WORDS = {
    "attempt": "events.tables.Attempt",
    "audit": "events.admin.audit",
    "backfill": "events.admin.replays.start_backfill",
    "batch": "events.subscriptions.Subscription",
    "catalog": "events.catalog",
    "claim": "events.ledger.claim",
    "compensation": "tasks.checkout",
    "crash loop": "events.suspects.CrashLoop",
    "dead letter": "events.admin.dead_letters",
    "delivery": "events.tables.Delivery",
    "discard": "events.admin.dead_letters.discard",
    "dispatch": "events.dispatch",
    "envelope": "events.envelope.Envelope",
    "erase": "events.admin.erasure.erase",
    "event": "events.event.Event",
    "event log": "events.tables.LogEntry",
    "fan out": "events.relay.fanout.fan_out",
    "fingerprint": "events.attempts.Failure.fingerprint",
    "heartbeat": "events.tables.Heartbeat",
    "idempotency key": "events.tables.Delivery.id",
    "in flight": "events.inbox.InFlight",
    "invalid message": "events.tables.InvalidMessageRow",
    "lease": "events.settings.Settings.lease",
    "ledger": "events.ledger",
    "lost message": "events.relay.loss",
    "process manager": "tasks.checkout",
    "projection": "tasks.timeline",
    "prune": "events.admin.retention.prune",
    "publish": "events.log.publish",
    "publisher": "events.transport.publisher",
    "quarantine": "events.transport.quarantine",
    "relaxed commit": "events.database.Database.relaxed",
    "relay": "events.relay",
    "replay": "events.admin.replays.start",
    "retry": "events.retry.Retry",
    "round": "events.relay.round",
    "subject": "events.log.publish",
    "subscription": "events.subscriptions.Subscription",
    "suspect": "events.suspects",
    "task message": "events.messages.Message",
    "trace": "events.admin.trace",
    "transport": "events.messages.Transport",
    "upcaster": "events.event.upcaster",
    "window": "events.relay.window",
    "worker": "events.transport.worker",
}
HEAD = """# Glossary

The words of Tidings, each with one meaning, in the code, the pages, the logs and these documents.
Each meaning is the docstring of what the word names; `make glossary` writes this page.

| word | meaning | file |
|---|---|---|
"""


def find(dotted: str) -> tuple[str, str]:
    """Return the docstring, or a setting's description, of a dotted name, and its file."""
    name, parts = dotted, []
    while True:
        try:
            found: Any = importlib.import_module(name)
            break
        except ModuleNotFoundError:
            name, _, last = name.rpartition(".")
            parts.insert(0, last)
    file = Path(found.__file__).relative_to(ROOT).as_posix()
    for part in parts:
        settings = getattr(found, "model_fields", {})
        if part in settings:
            return f"{settings[part].description}.", file
        found = getattr(found, part)
    return inspect.getdoc(found) or "", file


def define(word: str, docstring: str) -> str:
    """Return the first sentence that begins with the word, or else the first of all."""
    paragraphs = [each for each in docstring.split("\n\n") if not each.startswith(" ")]
    text = " ".join(" ".join(paragraphs).split())  # without diagrams and examples
    sentences = re.split(r"(?<=[.!?]) (?=[A-Z`])", text)
    begins = re.compile(rf"(?:an? |the )?`?{re.escape(word)}s?\b", re.IGNORECASE)
    chosen = next((each for each in sentences if begins.match(each)), sentences[0])
    meaning = re.sub(rf"^(?:the )?{re.escape(word)}s?: ", "", chosen, flags=re.IGNORECASE)
    return (meaning[:1].upper() + meaning[1:]).replace("|", "\\|").rstrip(":.") + "."


def page() -> str:
    """Return the whole page. Raises `ValueError` for a word without a docstring."""
    rows = []
    for word, dotted in sorted(WORDS.items()):
        docstring, file = find(dotted)
        if not docstring:
            raise ValueError(f"{word}: {dotted} has no docstring")
        label = file.replace("_", r"\_")
        rows.append(f"| {word} | {define(word, docstring)} | [{label}](../{file}) |")
    return HEAD + "\n".join(rows) + "\n"


def main() -> None:
    """Write the page."""
    PAGE.write_text(page())
    print(f"saved {PAGE}")


if __name__ == "__main__":
    main()
