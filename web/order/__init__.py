"""The page of one order, for customers and operators."""
