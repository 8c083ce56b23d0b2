"""Dry runs: a handler runs in a transaction that is rolled back, and what it would do is listed."""
