"""Administration of the bus: subscriptions, dead letters, queues, traces, audit, retention, erasure."""
