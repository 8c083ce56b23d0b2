"""Administration of the bus, by the operators' pages, the API and the command line."""
