"""Makes a sample database of 30 tables, in SQLite, for a first try: `python -m ingest_ray.testing.sample_shop shop.db`.

With a second argument it changes one that exists: `changes` (rows and a column), `bad-row` (a text in a column of numbers).
"""

import random
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

TABLES = [
    "addresses",
    "brands",
    "carriers",
    "carts",
    "categories",
    "countries",
    "coupons",
    "currencies",
    "customers",
    "employees",
    "invoices",
    "invoice_lines",
    "orders",
    "order_lines",
    "payments",
    "price_lists",
    "products",
    "product_images",
    "refunds",
    "returns",
    "reviews",
    "sessions",
    "shipments",
    "stock_moves",
    "stores",
    "subscriptions",
    "suppliers",
    "tags",
    "tickets",
    "warehouses",
]
WITHOUT_TIME = ("countries", "currencies", "tags")
"""Tables without a column that says when a row changed."""
WITHOUT_KEY = ("sessions",)
ROWS = 400


def make(file: Path) -> int:
    """Makes the database; returns the number of its rows. Raises `FileExistsError`."""
    if file.exists():
        raise FileExistsError(file)
    source = random.Random(20)
    with closing(sqlite3.connect(file)) as shop, shop:
        for table in TABLES:
            key = "id INTEGER" if table in WITHOUT_KEY else "id INTEGER PRIMARY KEY"
            time = "" if table in WITHOUT_TIME else ", updated_at TIMESTAMP NOT NULL"
            shop.execute(f"CREATE TABLE {table} ({key}, name TEXT NOT NULL, amount INTEGER{time})")
            for n in range(1, ROWS + 1):
                row = [n, f"{table} {n}", source.randrange(10_000)]
                when = f"2026-{source.randrange(1, 7):02}-{source.randrange(1, 28):02} 12:00:00"
                row += [] if table in WITHOUT_TIME else [when]
                shop.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)
    return len(TABLES) * ROWS


def change(file: Path) -> None:
    """Changes three orders, adds one, and adds a column to customers, of which one row is changed."""
    with closing(sqlite3.connect(file)) as shop, shop:
        shop.execute("UPDATE orders SET amount = amount + 1, updated_at = '2026-08-01 12:00:00' WHERE id <= 3")
        shop.execute("INSERT INTO orders VALUES (401, 'orders 401', 7, '2026-08-01 12:00:00')")
        shop.execute("ALTER TABLE customers ADD COLUMN email TEXT")
        shop.execute("UPDATE customers SET email = 'a@example.org', updated_at = '2026-08-01 12:00:00' WHERE id = 1")


def plant_bad_row(file: Path) -> None:
    """Adds three products, one with a text in a column of numbers: SQLite allows that, and no sink with types does."""
    with closing(sqlite3.connect(file)) as shop, shop:
        for n, amount in ((401, "a lot"), (402, 5), (403, 6)):
            row = (n, f"products {n}", amount, "2026-08-01 12:00:00")
            shop.execute("INSERT INTO products VALUES (?, ?, ?, ?)", row)


def main(arguments: list[str]) -> int:
    if len(arguments) not in (1, 2) or (len(arguments) == 2 and arguments[1] not in ("changes", "bad-row")):
        print(__doc__, file=sys.stderr)
        return 2
    file = Path(arguments[0])
    if len(arguments) == 1:
        print(f"{file}: {len(TABLES)} tables, {make(file):,} rows")
    elif arguments[1] == "changes":
        change(file)
    else:
        plant_bad_row(file)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
