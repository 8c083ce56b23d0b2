"""An order's page, shared by customers and operators."""
