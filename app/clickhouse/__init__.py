"""ClickHouse: connections, migrations and the queries of pages and commands."""
