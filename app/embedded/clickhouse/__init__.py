"""The embedded ClickHouse: the chdb engine behind the ClickHouse HTTP interface, one process.

Clients connect as to any ClickHouse server. The reader's account is a sandbox (:mod:`.gate`), the
writer's may insert and change tables. Nothing outside this package imports the engine.
"""

from app.embedded.clickhouse.server import serve

__all__ = ["serve"]
