"""The outside project's tests run in a world of their own: `test_outside_project` sees to it."""

collect_ignore = ["outside_project"]
