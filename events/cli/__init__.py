"""The commands of the bus, which need no shop: `celery -A your.app bus ...`."""
