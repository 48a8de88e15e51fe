# What analysts and clients send, one statement a line.
SELECT 1
SELECT count(), avg(a), quantile(0.5)(a), argMax(b,ts) FROM t WHERE a IN (1,2,3) AND b LIKE '%x%' GROUP BY toStartOfHour(ts) ORDER BY 1 DESC LIMIT 10
SELECT * FROM v FINAL
SELECT * FROM t FINAL WHERE ts > now() - INTERVAL 1 DAY
WITH x AS (SELECT a FROM t) SELECT * FROM x JOIN t USING (a) LEFT JOIN v ON v.a=t.a
WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n+1 FROM r WHERE n<5) SELECT * FROM r
SELECT a, row_number() OVER (PARTITION BY b ORDER BY ts ROWS BETWEEN 3 PRECEDING AND CURRENT ROW) FROM t
SELECT sum(a) OVER w FROM t WINDOW w AS (ORDER BY a RANGE BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)
SELECT * EXCEPT (b) FROM t
SELECT * EXCEPT b REPLACE (a+1 AS a) FROM t
SELECT COLUMNS('a|b') FROM t
SELECT t.* FROM t
SELECT format('{}-{}', b, toString(a)) FROM t
SELECT CASE WHEN a>1 THEN 'x' ELSE 'y' END, if(a>1,1,2), a::String, CAST(a AS Float64), [1,2,3], (1,2), map('a',1), a BETWEEN 1 AND 2 FROM t
SELECT arrayMap(x -> x+1, [1,2]), arrayJoin([1,2])
SELECT a FROM t ARRAY JOIN [1,2] AS z
SELECT * FROM numbers(10)
SELECT * FROM (VALUES (1,'a'),(2,'b')) AS t(id,val)
SELECT number FROM system.numbers LIMIT 3
SELECT name FROM system.tables WHERE database='default'
SELECT system.tables.name FROM system.tables
SELECT table_name FROM information_schema.tables
SELECT * FROM system.settings LIMIT 1
SELECT * FROM system.parts LIMIT 1
SELECT toStartOfInterval(ts, INTERVAL 5 MINUTE) AS m, count() FROM t GROUP BY m ORDER BY m WITH FILL STEP INTERVAL 5 MINUTE INTERPOLATE
SELECT a FROM t UNION ALL SELECT 1
SELECT 1 INTERSECT SELECT 1
SELECT DISTINCT ON (b) a FROM t
SELECT a FROM t LIMIT 1 BY b
SELECT count() FROM t GROUP BY ROLLUP(a)
SELECT count() FROM t GROUP BY GROUPING SETS ((a),(b))
SELECT a FROM t SAMPLE 1
SELECT count() FILTER (WHERE a>1) FROM t
SELECT EXISTS(SELECT 1), (SELECT max(a) FROM t)
SELECT a FROM t WHERE a IN (SELECT a FROM v) AND a NOT IN (SELECT a FROM v)
SELECT count(*) FROM t AS x ASOF JOIN t AS y ON x.b=y.b AND x.a>=y.a
SELECT {p:UInt8}
SHOW TABLES
SHOW TABLES LIKE 't%'
SHOW TABLES FROM default LIMIT 5
SHOW DATABASES
SHOW CREATE TABLE t
SHOW COLUMNS FROM t
SHOW FUNCTIONS LIKE 'arr%'
DESCRIBE t
DESCRIBE TABLE t
DESC (SELECT 1)
EXISTS TABLE t
EXPLAIN SELECT count() FROM t
EXPLAIN PIPELINE SELECT count() FROM t
EXPLAIN indexes=1 SELECT count() FROM t
SELECT 'a', 'x(' || ')' -- comment
SELECT `a` AS "file name" FROM t
SELECT a AS format, b AS values FROM t
FROM t SELECT a
(SELECT 1) UNION ALL (SELECT 2)
SELECT 1 FORMAT JSON
SELECT tuple(1,2).1, [1][1], t.a FROM t
SELECT toDate('2020-01-01'), DATE '2020-01-01', INTERVAL 1 DAY
SELECT extract(day FROM now()), trim(BOTH ' ' FROM ' x '), substring('abc' FROM 1 FOR 2), position('a' IN 'abc')
SELECT uniqExactIf(a, b='x'), groupArray(10)(a), topK(3)(b), histogram(3)(a), simpleLinearRegression(a,a), windowFunnel(10)(ts,a=1) FROM t
SELECT * FROM t WHERE (a,b) IN ((1,'x'))
SELECT lagInFrame(a) OVER (ORDER BY a), leadInFrame(a) OVER (ORDER BY a) FROM t
SELECT JSONExtractFloat('{"a":1}','a'), '{"a":1}'::JSON.a
SELECT a AS air, b AS timid, ts AS profile, air FROM t
