"""The shop's services: each module is a service and a queue. They speak to each other through events only."""
