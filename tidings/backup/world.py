"""The rows of the sandbox's gateways: they stand for the world, which no restore takes back."""

import sqlite3
from pathlib import Path

from events.orm import table_of
from tasks.gateways.payment import SandboxCharge, SandboxRefund
from tasks.gateways.shipping import SandboxParcel

_TABLES = tuple(table_of(each).name for each in (SandboxCharge, SandboxRefund, SandboxParcel))


def keep_world(draft: sqlite3.Connection, replaced: Path) -> None:
    """Copy what the sandbox did from the replaced database into the draft of the restored one.

    If the replaced database is the older of the two, its rows change none of the draft.
    """
    draft.execute("ATTACH ? AS replaced", (str(replaced),))
    latest = "SELECT max(publish_at) FROM {}.events"
    ends = [
        draft.execute(latest.format(schema)).fetchone()[0] or "" for schema in ("main", "replaced")
    ]
    verb = "REPLACE" if ends[1] >= ends[0] else "IGNORE"
    draft.execute("BEGIN")
    for table in _TABLES:
        columns = ", ".join(
            sorted(_columns(draft, "main", table) & _columns(draft, "replaced", table))
        )
        if columns:
            draft.execute(
                f"INSERT OR {verb} INTO main.{table} ({columns}) "  # noqa: S608  names of ours
                f"SELECT {columns} FROM replaced.{table}"
            )
    draft.execute("COMMIT")
    draft.execute("DETACH replaced")


def _columns(connection: sqlite3.Connection, schema: str, table: str) -> set[str]:
    return {row[1] for row in connection.execute(f"PRAGMA {schema}.table_info({table})")}
