"""The data contract: Avro schemas, topics, codecs and the metric catalogue."""
