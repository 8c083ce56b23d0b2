"""Search of the event log and of the dead letters, in one syntax for page, command and API."""
