"""Tests of the Kafka clients and of what watches over them."""
