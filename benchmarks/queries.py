"""Queries on Tidings' tables, for benchmarks that watch it from outside."""

UNRELAYED = "SELECT count(*) FROM events WHERE relayed_at IS NULL"
OPEN = "SELECT count(*) FROM deliveries WHERE state IN ('pending', 'retrying')"
LEFT = f"SELECT ({UNRELAYED}) + ({OPEN})"
SHIPPED = "SELECT count(*) FROM orders WHERE status = 'shipped'"
# What came after a position of the log or a key of an order: to count all that a database of five
# million deliveries has took 0.7 s.
LATEST_EVENT = "SELECT max(position) FROM events"
LATEST_ORDER = "SELECT max(key) FROM orders"
DONE_AFTER = (
    "SELECT count(*) FROM events JOIN deliveries ON deliveries.event_id = events.id "
    "WHERE events.position > {} AND deliveries.state = 'done'"
)
SHIPPED_AFTER = "SELECT count(*) FROM orders WHERE key > {} AND status = 'shipped'"
RELAYS = "SELECT count(*) FROM heartbeats WHERE kind = 'relay'"
