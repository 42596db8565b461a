"""Hook specifications, the registry of what is installed, and building a solver from names."""
