"""Bytes to frozen values and back. Bad bytes raise Malformed, and nothing else."""
