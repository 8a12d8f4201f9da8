package cdc

// zoo has a column of every kind of type.
const zoo = `
CREATE EXTENSION hstore; CREATE EXTENSION citext;
CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE TYPE inside AS (x int, y text);
CREATE TYPE pair AS (a int, b text, c inside[]); CREATE DOMAIN positive AS int CHECK (value > 0); CREATE DOMAIN more AS positive;
CREATE DOMAIN moods AS mood[];
CREATE TABLE zoo (id int PRIMARY KEY, i2 int2, i8 int8, f4 float4, f8 float8, n numeric, n2 numeric(10,2), m money, b bool,
	t text, v varchar(10), c char(5), ci citext, u uuid, e mood, d1 more, j json, jb jsonb, h hstore, by bytea,
	ts timestamp, tz timestamptz, d date, ti time, iv interval, ip inet, r int4range, bi bit(3), x xid8, p pair,
	ai int[], at text[], ae mood[], ad more[], am moods, ab box[], ap pair[], a2 int[][], vec int2vector, ch "char", na name, pt point, ts2 tsvector);`

const zooRows = `
INSERT INTO zoo VALUES (1, -5, 9223372036854775807, 0.1, 0.1::float8 + 0.2, 12345678901234567890.1234567890, 1.50, 1234.56, true,
	E'a "b" \\ \n ä', 'varchar', 'ab', 'CiText', '00112233-4455-6677-8899-aabbccddeeff', 'ok', 7,
	'{"b": 1,  "a": [1, null], "a": 2}', '{"b": 12345678901234567890.123, "a": null}', 'a=>1, b=>NULL, "c d"=>"e\"f"', '\xdeadbeef',
	'2026-01-02 03:04:05.678901', '2026-01-02 03:04:05+05:30', '2026-01-02', '03:04:05', '1 year 2 mons -3 days 04:05:06.7', '10.0.0.1/8',
	'[1,5)', B'101', '42', ROW(1, 'x y', ARRAY[ROW(2, NULL)::inside]),
	'{1,NULL,3}', ARRAY['a,b', NULL, 'NULL', '', 'q"\'], '{sad,ok}', '{1,2}', '{ok}', '{(1,1),(0,0);(2,2),(1,1)}', ARRAY[ROW(1, NULL, NULL)::pair], '{{1,2},{3,4}}', '1 2 3', 'c', 'name', '(1,2)', 'a b');
INSERT INTO zoo (id, f4, f8, n, ts, tz, d, by, at) VALUES (2, 'NaN', '-Infinity', 'NaN', 'infinity', '-infinity', 'infinity', '\x', '{}');
INSERT INTO zoo (id, f4, f8, n, ts, tz, d, m) VALUES (3, '1e-20', '1e300', '0.00', '0044-03-15 12:00:00 BC', '12345-01-01 00:00:00+00', '0001-01-01', -0.01);
INSERT INTO zoo (id) VALUES (4);`
