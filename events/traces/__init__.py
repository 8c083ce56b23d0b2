"""Traces on a time axis: what each delivery did and waited for, and which path took the time."""
