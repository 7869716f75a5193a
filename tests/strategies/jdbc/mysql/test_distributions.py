"""Section B of the conformance list for MariaDB: every row is in exactly one slice, however its key is distributed."""

from collections import Counter

import pytest

from tests.strategies.jdbc.maria import Maria

pytestmark = pytest.mark.services

SEQ = "FROM seq_1_to_95"
KEYS: dict[str, tuple[str, str]] = {
    "dense": ("bigint", f"SELECT seq {SEQ}"),
    "sparse": ("bigint", f"SELECT seq * seq * 1000 {SEQ}"),
    "one_far_away": ("bigint", f"SELECT CASE seq WHEN 95 THEN 1000000000 ELSE seq END {SEQ}"),
    "single_row": ("int", "SELECT 7"),
    "empty": ("int", f"SELECT seq {SEQ} WHERE seq > 95"),
    "negative": ("int", f"SELECT CAST(seq AS signed) - 50 {SEQ}"),
    "tinyint": ("tinyint(1)", f"SELECT CAST(seq AS signed) - 100 {SEQ}"),
    "zerofill": ("int(8) zerofill", f"SELECT seq {SEQ}"),
    "int64_limits": (
        "bigint",
        "VALUES (-9223372036854775808), (-9223372036854775807), (-1), (0), (9223372036854775807)",
    ),
    "unsigned_64_bit": ("bigint unsigned", f"SELECT 18446744073709551615 - seq * seq {SEQ}"),
    "unsigned_64_bit_dense": ("bigint unsigned", f"SELECT 9223372036854775760 + seq {SEQ}"),
    "decimal": ("decimal(20,5)", f"SELECT seq / 7.0 {SEQ}"),
    "decimal_65": ("decimal(65,30)", f"SELECT seq - 50.123456789012345678901234567891 {SEQ}"),
    "double": ("double", f"SELECT seq / 7e0 - 3 {SEQ}"),
    "float": ("float", f"SELECT seq / 7e0 {SEQ}"),
    "text": ("varchar(40)", f"SELECT concat('k', seq) {SEQ}"),
    "text_latin1": ("varchar(40) character set latin1", f"SELECT concat('é', seq) {SEQ}"),
    "text_with_quotes": ("varchar(60)", f"SELECT concat(char(39), seq, '\"; DROP TABLE t; -- \\\\ `') {SEQ}"),
    "text_astral": ("varchar(60)", f"SELECT concat(convert(x'F09F9880' using utf8mb4), seq) {SEQ}"),
    "char_with_blanks": ("char(8)", f"SELECT concat('k', seq) {SEQ}"),
    "uuid": (
        "uuid",
        f"SELECT concat(left(md5(seq), 12), '4', substr(md5(seq), 14, 3), '8', substr(md5(seq), 18)) {SEQ}",
    ),
    "binary": ("binary(16)", f"SELECT unhex(md5(seq)) {SEQ}"),
    "varbinary": ("varbinary(16)", f"SELECT left(unhex(md5(seq)), 1 + seq % 16) {SEQ}"),
    "bit": ("bit(12)", f"SELECT seq * 40 {SEQ}"),
    "year": ("year", f"SELECT 1900 + seq {SEQ} UNION SELECT 0"),
    "date": ("date", f"SELECT '1999-12-01' + INTERVAL seq DAY {SEQ} UNION SELECT '9999-12-31'"),
    "datetime": ("datetime(6)", f"SELECT '1999-12-01' + INTERVAL seq * 7 MICROSECOND {SEQ} UNION SELECT '0001-01-01'"),
    "timestamp": ("timestamp(3)", f"SELECT '2026-10-25' + INTERVAL seq * 5 MINUTE {SEQ}"),
    "enum": ("enum('z', 'y', 'x', 'a')", "VALUES ('a'), ('x'), ('y'), ('z')"),
}


@pytest.mark.parametrize("name", KEYS)
def test_b9_every_mariadb_row_is_in_one_slice(name: str, maria: Maria) -> None:
    kind, rows = KEYS[name]
    maria.run("SET SESSION sql_mode = ''")
    maria.run(f"CREATE TABLE t (k {kind} PRIMARY KEY, n int NOT NULL DEFAULT 0)")
    maria.run(f"INSERT INTO t (k) {rows}")
    maria.run("SET @n = 0")
    maria.run("UPDATE t SET n = (@n := @n + 1)")
    count = int(maria.run("SELECT count(*) FROM t")[0][0])  # type: ignore[call-overload]
    unit = maria.unit("t", columns=("n",))
    outcome = unit.run()
    assert Counter(row["n"] for row in outcome.rows) == Counter(range(1, count + 1))
    assert len(outcome.slices) >= count / 10
    assert outcome.scopes[0].axis.kind == "key"
    assert outcome.rejects == []


COLLATIONS = ("utf8mb4_general_ci", "utf8mb4_unicode_ci", "utf8mb4_turkish_ci", "utf8mb4_bin", "utf8mb4_nopad_bin")


@pytest.mark.parametrize("collation", COLLATIONS)
def test_b11_keys_under_any_collation(collation: str, maria: Maria) -> None:
    """Case, accents, blanks at the end, the dotless i: only the database compares."""
    words = [
        "a",
        "B",
        "ä1",
        "A2",
        "i",
        "I3",
        "ı4",
        "İ5",
        "ss",
        "ß6",
        "z ",
        "z7",
        "é",
        "E8",
        "_",
        "~",
        "ñ9",
        "n10",
        "",
        " x",
    ]
    maria.run(f"CREATE TABLE t (g varchar(20) COLLATE {collation}, n int, UNIQUE (g, n))")
    values = ", ".join(f"('{word}', {n})" for n, word in enumerate(words * 5))
    maria.run(f"INSERT INTO t VALUES {values}")
    outcome = maria.unit("t", 7).run()
    assert Counter(row["n"] for row in outcome.rows) == Counter(range(100))
    assert len(outcome.slices) >= 10


@pytest.mark.parametrize("collation", COLLATIONS)
def test_b9_ties_of_a_collation_are_never_cut_apart(collation: str, maria: Maria) -> None:
    """A cursor of text: `a`, `A` and `a ` may tie, and are in one slice however the database compares them."""
    maria.run(f"CREATE TABLE t (n int PRIMARY KEY, c varchar(20) COLLATE {collation})")
    words = ["a", "A", "a ", "b", "B", "á", "Á", "c"]
    maria.run("INSERT INTO t VALUES " + ", ".join(f"({n}, '{words[n % 8]}')" for n in range(64)))
    unit = maria.unit("t", 5, cursor="c")
    unit.run()
    assert Counter(row["n"] for row in unit.appended) == Counter(range(64))


def test_b9_composite_keys_with_a_heavy_first_column(maria: Maria) -> None:
    maria.run("CREATE TABLE t (a varchar(10), b bigint unsigned, c date, n int, PRIMARY KEY (a, b, c))")
    maria.run(
        "INSERT INTO t SELECT CASE WHEN seq <= 90 THEN 'same' ELSE concat('x', seq) END, seq % 7,"
        " '2020-01-01' + INTERVAL seq DAY, seq FROM seq_1_to_100"
    )
    outcome = maria.unit("t").run()
    assert Counter(row["n"] for row in outcome.rows) == Counter(range(1, 101))
    assert len(outcome.slices) >= 10


def test_b10_null_keys_are_read_once(maria: Maria) -> None:
    maria.run("CREATE TABLE t (a int, b varchar(9), n int, UNIQUE (a, b))")
    maria.run("INSERT INTO t SELECT nullif(seq % 5, 0), nullif(concat('b', seq), 'b10'), seq FROM seq_1_to_95")
    outcome = maria.unit("t").run()
    assert Counter(row["n"] for row in outcome.rows) == Counter(range(1, 96))
    assert sum(piece.nulls for piece in outcome.slices) == 1


def test_b14_a_slice_that_grew_is_given_back_at_a_position(maria: Maria) -> None:
    maria.run("CREATE TABLE t (k varchar(9) PRIMARY KEY)")
    maria.run("INSERT INTO t SELECT concat('k', lpad(seq, 5, '0')) FROM seq_1_to_20")
    unit = maria.unit("t", 10)
    unit.budget_bytes = 64 * 1024

    def grow(done: int) -> None:
        if done == 1:
            maria.run("INSERT INTO t SELECT concat('k', lpad(seq, 5, '0')) FROM seq_100_to_900")

    outcome = unit.run(between=grow, order=lambda slices: slices)  # all are cut before the first is read
    assert outcome.too_large > 0
    assert len(outcome.rows) == 821
    assert max(Counter(outcome.by_scope()).values()) > 50


def test_b15_a_table_without_a_key_and_a_view_are_one_slice(maria: Maria) -> None:
    maria.run("CREATE TABLE t (n int)")
    maria.run("INSERT INTO t SELECT seq % 3 FROM seq_1_to_95")
    maria.run("CREATE VIEW v AS SELECT n FROM t")
    for name in ("t", "v"):
        outcome = maria.unit(name).run()
        assert len(outcome.slices) == 1
        assert len(outcome.rows) == 95


@pytest.mark.parametrize("name", ["order", "Größe 漢", "a`b", 'q"q', "it's", "back\\slash", "%s", "a.b", "Select"])
@pytest.mark.parametrize("modes", ["", "ANSI_QUOTES,NO_BACKSLASH_ESCAPES"])
def test_b17_b18_odd_names_of_tables_keys_and_columns(name: str, modes: str, maria: Maria) -> None:
    quoted = "`" + name.replace("`", "``") + "`"
    maria.run(f"CREATE TABLE {quoted} ({quoted} varchar(60) PRIMARY KEY, n int)")
    maria.run(f"INSERT INTO {quoted} SELECT concat(char(39), char(92), '`\"', seq), seq FROM seq_1_to_30")
    before = maria.run("SELECT @@global.sql_mode")[0][0]
    try:
        maria.run(f"SET GLOBAL sql_mode = '{modes}'")
        outcome = maria.unit(name, where="n > 5 AND 'a' = 'a'").run()
    finally:
        maria.run(f"SET GLOBAL sql_mode = '{before}'")
    assert Counter(row["n"] for row in outcome.rows) == Counter(range(6, 31))
    assert len(outcome.slices) > 1


def test_tables_that_differ_only_in_case_are_two_units(maria: Maria) -> None:
    if int(maria.run("SELECT @@lower_case_table_names")[0][0]):  # type: ignore[call-overload]
        pytest.skip("this server's table names have no case")
    maria.run("CREATE TABLE t (n int PRIMARY KEY, small int)")
    maria.run("CREATE TABLE T (n int PRIMARY KEY, large int)")
    maria.run("INSERT INTO T VALUES (1, 2)")
    assert maria.unit("t").schema.names == ["n", "small"]
    assert maria.unit("T").run().rows == [{"n": 1, "large": 2}]


def test_the_key_scan_has_every_key(maria: Maria) -> None:
    maria.run("CREATE TABLE t (a int, b varchar(9), n int, PRIMARY KEY (b, a))")
    maria.run("INSERT INTO t SELECT seq, concat('b', seq), 0 FROM seq_1_to_95")
    unit = maria.unit("t")
    key_rows = [row for batch in unit.strategy.scan_keys(unit.spec) for row in batch.to_pylist()]
    assert Counter((row["b"], row["a"]) for row in key_rows) == Counter((f"b{i}", i) for i in range(1, 96))


def test_describe_reports_a_change_and_that_a_table_is_gone(maria: Maria) -> None:
    maria.run("CREATE TABLE t (a int PRIMARY KEY)")
    unit = maria.unit("t")
    assert unit.strategy.describe(unit.spec.endpoint, unit.spec.dataset) == unit.spec.dataset
    maria.run("ALTER TABLE t ADD b int")
    changed = unit.strategy.describe(unit.spec.endpoint, unit.spec.dataset)
    assert changed is not None
    assert [column.name for column in changed.columns] == ["a", "b"]
    maria.run("DROP TABLE t")
    assert unit.strategy.describe(unit.spec.endpoint, unit.spec.dataset) is None
