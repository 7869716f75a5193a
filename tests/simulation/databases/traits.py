"""What one simulated installation is like. Drawn once per history; everything outside of it is an assumption of docs/guarantees.md."""

from dataclasses import dataclass
from random import Random
from typing import Literal

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Tokyo", "Pacific/Kiritimati", "Etc/GMT+12")
SUMMER = 1_780_315_200  # 2026-06-01 12:00 UTC
END_OF_SUMMER = 1_792_889_400  # 2026-10-25 00:50 UTC: in Berlin the hour from 02:00 repeats from 01:00 UTC on
LOOKBACK_S = 300


@dataclass(frozen=True)
class Traits:
    """`writer_zone`: of all applications that write times without a zone. `block`: how many values a session takes from a cached
    sequence at once. `lookback` is in seconds or in units of the counter; None: the default."""

    database: Literal["postgres", "mysql"] = "postgres"
    cursor: Literal["timestamptz", "timestamp", "int"] = "timestamptz"
    write: str = "upsert"
    server_zone: str = "UTC"
    writer_zone: str = "UTC"
    declares_zone: bool = False
    is_replica: bool = False
    hides_transactions: bool = False
    """The role of the endpoint may not see the transactions of others."""
    has_untracked: bool = False
    """Some sessions show no start of their transactions."""
    has_prepared: bool = False
    sets_clock_back: bool = False
    takes_early: bool = False
    """Some applications take the time before their transaction begins: only a look-back reads such rows."""
    block: int = 1
    lookback: int | None = 0
    start_s: int = SUMMER

    @property
    def is_counter(self) -> bool:
        return self.cursor == "int"

    @property
    def limits_transactions(self) -> bool:
        """Whether transactions end within the lag of the horizon, because the server does not show them."""
        return self.is_replica or self.hides_transactions or self.has_prepared or self.has_untracked

    @classmethod
    def draw(cls, random: Random) -> "Traits":
        def happens(probability: float) -> bool:
            return random.random() < probability

        database: Literal["postgres", "mysql"] = random.choice(["postgres", "postgres", "mysql"])
        cursor: Literal["timestamptz", "timestamp", "int"] = random.choice(
            ["timestamptz", "timestamp", "timestamp", "int"]
        )
        write = random.choice(["upsert", "upsert", "append"])
        is_postgres, is_time = database == "postgres", cursor != "int"
        takes_early = write == "upsert" and is_time and happens(0.3)
        start_s = random.choice([SUMMER, END_OF_SUMMER])
        zones = ZONES if start_s == SUMMER else (*ZONES, "Europe/Berlin", "Europe/Berlin", "Europe/Berlin")
        usual = [None, LOOKBACK_S] if takes_early else [0, None, LOOKBACK_S] if is_time else [0, 0, LOOKBACK_S]
        lookback = random.choice(usual) if write == "upsert" else 0
        is_replica = happens(0.35)
        server_zone, writer_zone = random.choice(ZONES), random.choice(zones)
        declares_zone = cursor == "timestamp" and happens(0.4)
        # A row of before the step looks like one of a zone further east, so the promise needs a zone that is known.
        is_zone_known = cursor != "timestamp" or declares_zone
        return cls(
            database=database,
            cursor=cursor,
            write=write,
            server_zone=server_zone,
            writer_zone=writer_zone,
            declares_zone=declares_zone,
            is_replica=is_replica,
            hides_transactions=is_time and happens(0.2),
            has_untracked=is_postgres and is_time and happens(0.25),
            has_prepared=is_postgres and is_time and happens(0.25),
            takes_early=takes_early,
            sets_clock_back=is_time
            and lookback != 0
            and write == "upsert"
            and not is_replica
            and happens(0.4)
            and is_zone_known,
            block=random.choice([1, 1, 4]) if is_postgres else 1,
            lookback=lookback,
            start_s=start_s,
        )
