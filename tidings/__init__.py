"""The program: the command line, and everything that assembles and operates the other packages."""
