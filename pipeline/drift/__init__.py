"""Concept drift of a source: what its lines are like, what they were like, and since when they differ."""
