"""Runs the whole system on one machine: starts, watches, restarts and stops its processes."""
