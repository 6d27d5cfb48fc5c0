"""The data path's loop in C, for machines that had a compiler when this was installed."""
