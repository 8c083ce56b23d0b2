"""The shop's services, one module and one queue each. They communicate through events only."""
