# Statements that a reader may not run, one a line. @FILE@: a file with a secret;
# @OUT@: a file that must not come into being; @PORT@: a port on which nobody may ever knock.

# files
SELECT file('@FILE@')
SELECT FILE('@FILE@')
SELECT `\x66ile`('@FILE@')
SELECT "file"('@FILE@')
SELECT /*x*/file/*y*/ ('@FILE@')
SELECT * FROM file('@FILE@')
SELECT * FROM file('@FILE@', LineAsString)
WITH x AS (SELECT * FROM file('@FILE@')) SELECT * FROM x
WITH (SELECT file('@FILE@')) AS x SELECT x
SELECT (SELECT (SELECT file('@FILE@')))
SELECT 1 UNION ALL SELECT length(file('@FILE@'))
SELECT 1 INTERSECT SELECT length(file('@FILE@'))
SELECT 1 WHERE file('@FILE@') = 'SECRET'
SELECT 1 PREWHERE file('@FILE@') = 'SECRET'
SELECT a FROM t PREWHERE length(file('@FILE@'))>0
SELECT 1 HAVING length(file('@FILE@'))>0
SELECT 1 AS x QUALIFY length(file('@FILE@'))>0
SELECT 1 ORDER BY file('@FILE@')
SELECT 1 LIMIT length(file('@FILE@'))
SELECT 1 OFFSET length(file('@FILE@'))
SELECT number FROM numbers(9) LIMIT length(file('@FILE@')) BY number
SELECT 1 GROUP BY file('@FILE@')
SELECT count() FROM t GROUP BY GROUPING SETS ((file('@FILE@')))
SELECT a FROM t ARRAY JOIN [file('@FILE@')] AS z
SELECT 1 FROM t JOIN t AS u ON t.a=u.a AND file('@FILE@')!=''
SELECT 1 FROM t JOIN file('@FILE@') AS u ON 1
SELECT 1 FROM t, file('@FILE@')
SELECT * APPLY(file) FROM (SELECT '@FILE@' AS x)
SELECT * APPLY(x -> file(x)) FROM (SELECT '@FILE@' AS x)
SELECT COLUMNS('x') APPLY file FROM (SELECT '@FILE@' AS x)
SELECT * REPLACE(file(x) AS x) FROM (SELECT '@FILE@' AS x)
SELECT t.* REPLACE(file(x) AS x) FROM (SELECT '@FILE@' AS x) AS t
SELECT COLUMNS(file('@FILE@')) FROM t
SELECT arrayMap(file, ['@FILE@'])
SELECT arrayMap(`file`, ['@FILE@'])
SELECT arrayMap(FILE, ['@FILE@'])
SELECT arrayMap(x -> file(x), ['@FILE@'])
WITH (x -> file(x)) AS g SELECT g('@FILE@')
WITH x -> file(x) AS g SELECT g('@FILE@')
SELECT arrayFold((acc,x) -> file(x), ['@FILE@'], '')
SELECT mapApply((k,v)->(k,file(v)), map('a','@FILE@'))
SELECT 1 AS a ORDER BY a WITH FILL FROM 1 TO length(file('@FILE@'))
SELECT 1 AS a, 2 AS b ORDER BY a WITH FILL FROM 1 TO 3 INTERPOLATE (b AS length(file('@FILE@')))
SELECT count() OVER (PARTITION BY file('@FILE@'))
SELECT count() OVER w FROM t WINDOW w AS (ORDER BY file('@FILE@'))
SELECT count() OVER (ORDER BY a ROWS BETWEEN length(file('@FILE@')) PRECEDING AND CURRENT ROW) FROM t
SELECT quantile(length(file('@FILE@')))(a) FROM t
SELECT CASE file('@FILE@') WHEN 'SECRET' THEN 1 ELSE 0 END
SELECT file('@FILE@')::String
SELECT CAST(file('@FILE@') AS String)
SELECT [file('@FILE@')][1]
SELECT (file('@FILE@'),1).1
SELECT file('@FILE@') IS NULL
SELECT NOT file('@FILE@')
SELECT * FROM '@FILE@'
SELECT * FROM `@FILE@`
SELECT * FROM "@FILE@"
SELECT * FROM default.`@FILE@`
SELECT * FROM _filesystem.`@FILE@`
FROM '@FILE@' SELECT *
SELECT 'SECRET' IN `@FILE@`
SELECT 'SECRET' GLOBAL NOT IN `@FILE@`
SELECT 'SECRET' IN (`@FILE@`)
SELECT in('SECRET', `@FILE@`)
DESCRIBE '@FILE@'
DESCRIBE TABLE `@FILE@`
DESCRIBE file('@FILE@')
DESCRIBE (SELECT file('@FILE@'))
EXISTS TABLE `@FILE@`
EXISTS `@FILE@`
SHOW CREATE TABLE `@FILE@`
SELECT 1 INTO OUTFILE '@OUT@'
SELECT 1 INTO OUTFILE '@OUT@' FORMAT CSV
(SELECT 1) INTO OUTFILE '@OUT@'
EXPLAIN SELECT 1 INTO OUTFILE '@OUT@'
SELECT * FROM eval('SELECT file(''@FILE@'')')
SELECT * FROM view(SELECT file('@FILE@'))
SELECT * FROM format(JSONEachRow, 'a UInt8, x String DEFAULT file(\'@FILE@\')', '{"a":1}')
SELECT * FROM values('a UInt8, x String DEFAULT file(\'@FILE@\')', (1,''))
SELECT * FROM (EXPLAIN SELECT file('@FILE@'))
EXPLAIN SELECT file('@FILE@')
EXPLAIN AST SELECT file('@FILE@')
EXPLAIN SYNTAX SELECT file('@FILE@')
EXPLAIN QUERY TREE SELECT file('@FILE@')
EXPLAIN PIPELINE SELECT file('@FILE@')
EXPLAIN ESTIMATE SELECT file('@FILE@')
EXPLAIN PLAN actions=1 SELECT file('@FILE@')
EXPLAIN EXPLAIN SELECT file('@FILE@')
SHOW TABLES WHERE file('@FILE@') = 'SECRET'
SHOW COLUMNS FROM t WHERE file('@FILE@')='SECRET'
SHOW TABLES LIKE 'a' LIMIT length(file('@FILE@'))
SHOW TABLES LIMIT 1 + arrayMap(file, ['@FILE@'])
FROM t |> WHERE file('@FILE@')!=''
FROM t |> EXTEND file('@FILE@') AS z
FROM t |> JOIN file('@FILE@') ON 1
SELECT * FROM t AS x(a, b) WHERE file('@FILE@')!=''
SELECT a.file FROM t AS a, file('@FILE@') AS f

# network
DESCRIBE url('http://127.0.0.1:@PORT@/x')
DESCRIBE s3('http://127.0.0.1:@PORT@/x')
SELECT * FROM url('http://127.0.0.1:@PORT@/x')
SELECT * FROM remote('127.0.0.1:@PORT@', system.one)
SELECT * FROM s3('http://127.0.0.1:@PORT@/x')
SELECT * FROM mysql('127.0.0.1:@PORT@','a','b','c','d')
SELECT * FROM postgresql('127.0.0.1:@PORT@','a','b','c','d')
EXPLAIN TABLE OVERRIDE mysql('127.0.0.1:@PORT@','b','c','d','e')
SELECT hasColumnInTable('127.0.0.1:@PORT@','a','b','default','t','a')

# system tables
SELECT * FROM cluster('default', system.one)
SELECT * FROM filesystem('/etc')
SELECT * FROM merge('system', 'processes')
SELECT * FROM system.processes
SELECT * FROM `system`.`processes`
SELECT * FROM "system" . "processes"
SELECT * FROM system.query_log
SELECT * FROM system.errors
SELECT * FROM system.users
SELECT * FROM system.named_collections
SELECT * FROM system.mutations
SELECT * FROM system.disks
SELECT * FROM system.stack_trace
SELECT * FROM system.query_cache
SELECT * FROM system.user_query_log
SELECT * FROM system.session_query_ids
SELECT 'a' IN system.macros
SELECT system.processes.query FROM system.processes
WITH p AS (SELECT * FROM system.processes) SELECT * FROM p
SELECT (SELECT count() FROM system.processes)
SHOW PROCESSLIST
SHOW GRANTS
SHOW USERS
SHOW ACCESS
SHOW TABLES WHERE name IN system.users
SHOW CREATE USER default
SHOW SETTING max_threads

# functions
CHECK TABLE t
SELECT * FROM sqlite('/tmp/x','t')
SELECT * FROM executable('id', TSV, 'x String')
SELECT * FROM python(x)
SELECT * FROM Python(engine)
SELECT * FROM eval('SELECT 1')
SELECT * FROM input('x String')
SELECT * FROM merge('processes')
SELECT * FROM loop(numbers(1))
SELECT * FROM format(TSV, 'a String', 'x')
SELECT * FROM generateRandom('a String', 1, 10)
SELECT * FROM null('a UInt8')
SELECT * FROM dictionary('d')
SELECT * FROM fuzzQuery('SELECT 1')
SELECT * FROM fuzzJSON('x')
SELECT * FROM viewExplain('EXPLAIN','',(SELECT 1))
EXPLAIN INSERT INTO t SELECT 1,'',now()
EXPLAIN CREATE TABLE zz (a Int8) ENGINE=Memory
SELECT sleep(3)
SELECT sleepEachRow(1) FROM numbers(3)
SELECT SLEEP(1)
SELECT aiGenerate('x')
SELECT AIGenerate('x')
SELECT showCertificate()
SELECT getClientHTTPHeader('x')
SELECT addressToLine(1)
SELECT logTrace('x')
SELECT catboostEvaluate('/tmp/x',1)
SELECT generateSerialID('x')
SELECT __getScalar('x')
SELECT __actionName(1,'x')
SELECT flameGraph(arrayEnumerate([1]))
SELECT aggThrow(1.0)(a) FROM t
SELECT * FROM mergeTreeIndex(default, t)
SELECT * FROM mergeTreeProjection(default, t, x)
SELECT * FROM prometheusQuery(default,'x','y',now())
SELECT * FROM timeSeriesSelector('default','x','y',1,2)

# settings
SET readonly=0
SET max_memory_usage=0
SELECT 1 SETTINGS readonly=0
SELECT 1 SETTINGS max_memory_usage=0
SELECT 1 SETTINGS max_execution_time=0
SELECT * FROM (SELECT 1 SETTINGS max_execution_time=0)
WITH x AS (SELECT 1 SETTINGS max_memory_usage=0) SELECT * FROM x
SELECT 1 UNION ALL SELECT 1 SETTINGS max_execution_time=0
SELECT a FROM t WHERE a IN (SELECT 1 SETTINGS max_execution_time=0)
SELECT EXISTS(SELECT 1 SETTINGS max_execution_time=0)
SELECT * FROM (SELECT 1 AS x SETTINGS additional_result_filter='file(''@FILE@'')!=''''')
SELECT 1 SETTINGS additional_result_filter='file(''@FILE@'')!='''''
SELECT 1 FORMAT Template SETTINGS format_template_resultset='@FILE@'
EXPLAIN SELECT 1 SETTINGS max_execution_time=0
SELECT 1 SETTINGS log_comment='x'
DESCRIBE t SETTINGS max_execution_time=0

# changes
SHOW FUNCTIONS LIKE 'a'; SELECT 1
SELECT 1; SELECT 2
SELECT 1; INSERT INTO t VALUES (1,'',now())
INSERT INTO t VALUES (1,'',now())
INSERT INTO t SELECT 1,'',now()
INSERT INTO FUNCTION file('@OUT@','CSV') SELECT 1
CREATE TABLE zz (a Int8) ENGINE=Memory
CREATE TEMPORARY TABLE zz (a Int8)
CREATE FUNCTION f AS x -> file(x)
DROP TABLE t
TRUNCATE TABLE t
ALTER TABLE t DELETE WHERE 1
DELETE FROM t WHERE 1
UPDATE t SET a=1 WHERE 1
OPTIMIZE TABLE t
RENAME TABLE t TO u
EXCHANGE TABLES t AND v
KILL QUERY WHERE 1
SYSTEM SHUTDOWN
SYSTEM FLUSH LOGS
USE system
ATTACH TABLE t
DETACH TABLE t
BACKUP TABLE t TO File('@OUT@')
RESTORE TABLE t FROM File('@OUT@')
GRANT ALL ON *.* TO default
BEGIN TRANSACTION
COMMIT
WATCH v
EXECUTE AS default SELECT 1
PARALLEL WITH SELECT 1
PREPARE x AS SELECT 1
