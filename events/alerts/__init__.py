"""Alerts: rules over the ledger, looked at by one relay at a time, and published as events."""
