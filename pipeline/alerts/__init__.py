"""Alerts: what was noticed, told to people by webhook and mail."""
