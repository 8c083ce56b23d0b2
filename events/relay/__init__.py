"""The relay: turns events into deliveries and sends due deliveries to the broker."""
