"""The contract with a daemon, and one file per daemon."""
