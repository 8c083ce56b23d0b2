"""The shop's pages: the order form and the order."""
