"""Backup and restore of an SQLite database, checked, while its shop runs or before it starts."""
