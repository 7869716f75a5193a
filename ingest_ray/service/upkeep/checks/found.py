"""What a check yields: status, message, and what to do."""

from collections.abc import Iterator
from typing import Literal

Status = Literal["ok", "warning", "failed"]
Found = Iterator[tuple[Status, str, str | None]]
