"""The embedded servers: a real Kafka broker and a ClickHouse, each a process of its own."""
