"""Detections: attacks, errors and slowness in what the clean stage has stored, by rules."""
