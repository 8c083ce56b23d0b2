"""`tidings up`: the whole system on one machine, in one terminal, under one supervisor."""
