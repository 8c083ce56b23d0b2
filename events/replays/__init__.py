"""Replays: dead letters, or past events of a subscription, given back slice by slice as a job."""
