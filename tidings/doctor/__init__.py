"""The doctor: looks a deployment over and says of each thing how it is and, if it is not well, what to do."""
