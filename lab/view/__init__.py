"""Shows it to people."""
