"""Finds out what is true, from outside the daemons."""
