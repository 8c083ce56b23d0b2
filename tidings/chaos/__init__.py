"""`tidings chaos`: injects faults while orders are placed, then audits the tables."""
