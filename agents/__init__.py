"""What each Kafka topic is consumed for: orchestration only, the rules live in ``tables``."""
