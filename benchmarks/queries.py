"""Queries on Tidings' tables, for benchmarks that watch it from outside."""

UNRELAYED = "SELECT count(*) FROM events WHERE relayed_at IS NULL"
OPEN = "SELECT count(*) FROM deliveries WHERE state IN ('pending', 'retrying')"
LEFT = f"SELECT ({UNRELAYED}) + ({OPEN})"
DONE = "SELECT count(*) FROM deliveries WHERE state = 'done'"
SHIPPED = "SELECT count(*) FROM orders WHERE status = 'shipped'"
RELAYS = "SELECT count(*) FROM heartbeats WHERE kind = 'relay'"
