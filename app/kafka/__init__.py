"""Kafka: clients with safe settings, topic administration and the Faust application."""
