"""Reading captures: every format into one kernel table."""
