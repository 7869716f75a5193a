"""Creates the shop's SQLite database: about half a million rows, the same from the same seed."""

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random

CUSTOMERS, ORDERS, LINES = 20_000, 60_000, 400_000
OPENED = datetime(2025, 1, 1, tzinfo=UTC)

TABLES = """
CREATE TABLE customers (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT, is_active BOOLEAN NOT NULL, updated_at TIMESTAMP NOT NULL);
CREATE TABLE orders (
    id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL, status TEXT NOT NULL, total DECIMAL(12, 2) NOT NULL,
    placed_on DATE NOT NULL, updated_at TIMESTAMP NOT NULL);
CREATE TABLE order_lines (
    id INTEGER PRIMARY KEY, order_id INTEGER NOT NULL, article TEXT NOT NULL, quantity INTEGER NOT NULL,
    price DECIMAL(12, 2) NOT NULL, note TEXT, updated_at TIMESTAMP NOT NULL);
CREATE INDEX customers_updated ON customers (updated_at);
CREATE INDEX orders_updated ON orders (updated_at);
CREATE INDEX order_lines_updated ON order_lines (updated_at);
"""


def make(path: Path, seed: int = 7) -> int:
    """Writes a new database; returns the number of rows."""
    path.unlink(missing_ok=True)
    random = Random(seed)
    with sqlite3.connect(path) as shop:
        shop.executescript(TABLES)
        shop.executemany("INSERT INTO customers VALUES (?, ?, ?, ?, ?)", customers(random))
        shop.executemany("INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?)", orders(random))
        shop.executemany("INSERT INTO order_lines VALUES (?, ?, ?, ?, ?, ?, ?)", lines(random))
    shop.close()
    return CUSTOMERS + ORDERS + LINES


def change(path: Path, seed: int = 8) -> int:
    """A day in the shop: some orders are shipped, some customers move, new lines arrive; returns the rows touched."""
    random = Random(seed)
    now = stamp(datetime.now(UTC))
    with sqlite3.connect(path) as shop:
        shipped = [(now, key) for key in random.sample(range(1, ORDERS + 1), 400)]
        shop.executemany("UPDATE orders SET status = 'shipped again', updated_at = ? WHERE id = ?", shipped)
        moved = [(now, key) for key in random.sample(range(1, CUSTOMERS + 1), 50)]
        shop.executemany("UPDATE customers SET email = 'moved@example.org', updated_at = ? WHERE id = ?", moved)
        new = [(LINES + n, random.randint(1, ORDERS), "gift", 1, "0.00", None, now) for n in range(1, 201)]
        shop.executemany("INSERT INTO order_lines VALUES (?, ?, ?, ?, ?, ?, ?)", new)
    shop.close()
    return len(shipped) + len(moved) + len(new)


def customers(random: Random) -> Iterator[tuple[object, ...]]:
    for key in range(1, CUSTOMERS + 1):
        email = f"customer{key}@example.org" if random.random() < 0.9 else None
        yield key, f"Customer {key}", email, random.random() < 0.8, moment(random)


def orders(random: Random) -> Iterator[tuple[object, ...]]:
    for key in range(1, ORDERS + 1):
        placed = (OPENED + timedelta(days=random.randrange(500))).date().isoformat()
        status = random.choice(["new", "paid", "shipped", "returned"])
        yield key, random.randint(1, CUSTOMERS), status, money(random, 900_000), placed, moment(random)


def lines(random: Random) -> Iterator[tuple[object, ...]]:
    for key in range(1, LINES + 1):
        article = f"ART-{random.randrange(5_000):04d}"
        note = "gift wrapping, please" if random.random() < 0.05 else None
        yield key, random.randint(1, ORDERS), article, random.randint(1, 9), money(random, 90_000), note, moment(random)


def money(random: Random, most: int) -> str:
    return str(Decimal(random.randrange(1, most)).scaleb(-2))


def moment(random: Random) -> str:
    return stamp(OPENED + timedelta(seconds=random.randrange(500 * 86_400), microseconds=random.randrange(10**6)))


def stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S.%f")
