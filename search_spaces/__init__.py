"""The search spaces that ship with the package, one a file."""
