"""The hash chain of the audit: each line has a hash of its content and of the hash before it.

    line 1 ──> line 2 ──> line 3 <── head (the last id and hash, in a table of its own)

Texts can be personal and are erased on request, so a line's hash covers only a digest of them, made
with a salt. `redact` replaces texts and salt, and the line of the erasure, which is in the chain,
names the new digest. When the oldest lines are pruned, the line of that act is the anchor: it names
the last line that was removed, and its hash.
"""

import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC
from typing import Any

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.orm import Session

from events.audit_tables import AuditEntry, AuditHead
from events.orm import get_or_create_locked

GENESIS = "0" * 64  # in the place of the hash before the first line
HEADLESS = "-"  # in the place of the hash before a line that was written when the head was gone
REDACTED, ANCHOR = "redacted", "anchor"  # parameters that the chain itself needs
_TEXTS = ("who", "target", "why", "parameters")
_IN_PLACE = {"synchronize_session": False}


def append(session: Session, line: Mapping[str, Any]) -> int:
    """Write a line behind the last one; return its id.

    Others that write a line wait until this transaction ends. So a transaction changes everything
    else before, or two of them could block each other.
    """
    head = _lock_head(session)
    salt = secrets.token_hex(16)
    row = {**line, "id": head.last + 1, "salt": salt, "digest": texts_digest(salt, line)}
    row["hash"] = line_hash(head.hash, row)
    session.execute(insert(AuditEntry), [row])
    head.last, head.hash = row["id"], row["hash"]
    session.flush()
    return head.last


def _lock_head(session: Session) -> AuditHead:
    head = get_or_create_locked(session, AuditHead, "audit", last=0, hash=GENESIS)
    if head.last == 0 and (last := session.scalar(select(func.max(AuditEntry.id)))):
        head.last, head.hash = last, HEADLESS  # the chain stays broken here, for all to see
    return head


def texts_digest(salt: str, line: Mapping[str, Any]) -> str:
    """Return the salted digest of the texts of a line, which may be erased later."""
    return _hash([salt, *(line[name] for name in _TEXTS)])


def line_hash(previous: str, line: Mapping[str, Any]) -> str:
    """Return the hash of a line: of the hash before it, and of all but its texts."""
    at = line["at"].astimezone(UTC).isoformat(timespec="microseconds")
    names = ("role", "action", "part_of", "count", "ends", "digest")
    return _hash([previous, line["id"], at, *(line[name] for name in names)])


def _hash(values: Sequence[Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def redact(session: Session, line_id: int, texts: Mapping[str, Any]) -> str:
    """Replace texts of a line, with its salt; return the new digest, for `REDACTED` parameters."""
    wanted = select(AuditEntry).where(AuditEntry.id == line_id).with_for_update()
    row = session.scalars(wanted.execution_options(populate_existing=True)).one()
    line = {**{name: getattr(row, name) for name in _TEXTS}, **texts}
    salt = secrets.token_hex(16)
    changed = update(AuditEntry).where(AuditEntry.id == line_id).values(**texts, salt=salt)
    session.execute(changed, execution_options=_IN_PLACE)
    return texts_digest(salt, line)


def remove_oldest(session: Session, ids: Sequence[int]) -> dict[str, Any] | None:
    """Remove the oldest lines; return the anchor, for `ANCHOR` parameters.

    Return nothing if somebody else removed them first.
    """
    last = max(ids)
    gone = delete(AuditEntry).where(AuditEntry.id <= last).returning(AuditEntry.id, AuditEntry.hash)
    hashes = dict(session.execute(gone, execution_options=_IN_PLACE).all())
    return {"id": last, "hash": hashes[last]} if last in hashes else None
