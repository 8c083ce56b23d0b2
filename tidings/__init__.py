"""The program: the command line, and everything that assembles and operates the packages below it."""
