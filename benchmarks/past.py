"""Years of orders, written by SQL: each order has five events, and each event five deliveries."""

from dataclasses import dataclass

from sqlalchemy import Engine, text

SLICE = 5000  # orders in one transaction, so that the shop goes on meanwhile
EVENTS, DELIVERIES = 5, 5  # of an order, of an event
DEAD = 50  # each so-manieth delivery is a dead letter

_SERIES = {
    "sqlite": (
        "WITH RECURSIVE s(n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM s WHERE n < {last})"
    ),
    "postgresql": "WITH s(n) AS (SELECT generate_series({first}, {last}))",
}
_ID = {
    "sqlite": "printf('%032x', {n})",
    "postgresql": "lpad(to_hex({n}), 32, '0')::uuid",
}
_TWELVE = {"sqlite": "printf('%012x', n)", "postgresql": "lpad(to_hex(n), 12, '0')"}
_AT = {
    "sqlite": "'2025-01-01 00:00:00.000000'",
    "postgresql": "'2025-01-01 00:00:00+00'::timestamptz",
}
_ORDERS = """
INSERT INTO orders (id, number, token, status, stock, payment, shipment, customer, email, lines,
    total_amount, currency, created_at, updated_at)
SELECT '00000000-0000-0000-0000-' || {twelve}, 'OLD-' || n, 'token-' || n,
    'shipped', 'reserved', 'charged', 'shipped', 'Ada Example', 'ada' || n || '@past.example',
    '[]', 1250, 'EUR', {at}, {at} FROM s
"""
_EVENTS = """
INSERT INTO events (id, type, version, source, subject, time, correlation_id, actor, data,
    publish_at, relayed_at)
SELECT {id}, CASE n % 5 WHEN 0 THEN 'order.created' WHEN 1 THEN 'order.confirmed'
    WHEN 2 THEN 'payment.charged' WHEN 3 THEN 'inventory.reserved' ELSE 'order.shipped' END,
    2, 'web', 'OLD-' || (n / 5), {at}, {id}, '{{}}', '{{}}', {at}, {at} FROM s
"""
_DELIVERIES = """
INSERT INTO deliveries (event_id, subscription, queue, state, attempts, sends, lost_count,
    unfinished_starts, due_at, sent_at, done_at, died_at, error, fingerprint)
SELECT {event}, name, queue, CASE WHEN dead THEN 'dead' ELSE 'done' END, 1, 1, 0, 0, {at}, {at},
    CASE WHEN dead THEN NULL ELSE {at} END, CASE WHEN dead THEN {at} END,
    CASE WHEN dead THEN 'ConnectionError: no route' END,
    CASE WHEN dead THEN 'ConnectionError gateways/payment.py:' || (n % 20) END
FROM (SELECT n, n % {dead} = 0 AS dead, {event} AS event_id FROM s) AS numbered
JOIN (SELECT name, queue, row_number() OVER (ORDER BY name) - 1 AS rank FROM subscriptions)
    AS subscribers ON rank = n % {deliveries}
"""
_ATTEMPTS = """
INSERT INTO attempts (subscription, event_id, number, send, started_at, took, worker, error_type,
    message, traceback)
SELECT subscription, event_id, 1, 1, {at}, 0.1, 'past@example', 'ConnectionError', 'no route', ''
FROM deliveries WHERE state = 'dead' AND died_at = {at}
"""


@dataclass(frozen=True)
class Past:
    """A number of orders that were shipped long ago."""

    orders: int

    def __str__(self) -> str:
        events = self.orders * EVENTS
        deliveries = events * DELIVERIES
        return (
            f"{self.orders:,} orders, {events:,} events, {deliveries:,} deliveries and"
            f" {deliveries // DEAD:,} dead letters"
        )

    def write(self, engine: Engine) -> None:
        """Write it into the database of a shop."""
        for first in range(1, self.orders + 1, SLICE):
            last = min(self.orders, first + SLICE - 1)
            self._insert(engine, _ORDERS, first, last)
            self._insert(engine, _EVENTS, first * EVENTS, (last + 1) * EVENTS - 1)
            each = EVENTS * DELIVERIES
            self._insert(engine, _DELIVERIES, first * each, (last + 1) * each - 1)
        self._insert(engine, _ATTEMPTS, 0, 0)
        settle(engine)

    def _insert(self, engine: Engine, statement: str, first: int, last: int) -> None:
        name = engine.dialect.name
        number = _ID[name]
        values = {"at": _AT[name], "dead": DEAD, "deliveries": DELIVERIES}
        values |= {"id": number.format(n="n"), "twelve": _TWELVE[name]}
        values |= {"event": number.format(n=f"n / {DELIVERIES}")}
        filled = statement.format(**values)
        series = _SERIES[name].format(first=first, last=last)
        with engine.begin() as connection:
            if name == "sqlite":  # its WITH stands before the INSERT
                connection.exec_driver_sql(f"{series} {filled}")
            else:
                numbered = filled.replace("SELECT", f"{series} SELECT", 1)
                connection.exec_driver_sql(numbered.replace("%", "%%"))


def settle(engine: Engine) -> None:
    """Bring the tables into the state of years: vacuumed and analysed, without a log of the past.

    On SQLite rows written at once leave a log of hundreds of megabytes, which takes 130 ms to
    truncate; the next one to commit, or to erase, would wait for that.
    """
    is_sqlite = engine.dialect.name == "sqlite"
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE" if is_sqlite else "VACUUM ANALYZE"))
        if is_sqlite:
            connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))
