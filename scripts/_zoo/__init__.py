"""Models that others designed, with random weights: made, exported, rewritten and compared."""
