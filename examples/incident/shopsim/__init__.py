"""A simulator of a small online shop that writes the log of a day with faults in it."""
