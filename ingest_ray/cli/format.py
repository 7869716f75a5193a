"""Formats numbers and times for people."""


def format_count(number: float) -> str:
    """`950`, `12.3 k`, `1.2 M`, `3.4 G`."""
    for limit, unit in ((1e9, " G"), (1e6, " M"), (1e4, " k")):
        if number >= limit:
            return f"{number / (1e3 if unit == ' k' else limit):.1f}{unit}"
    return f"{number:.0f}"


def format_bytes(count: float) -> str:
    """`512 B`, `8.0 MiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def format_duration(seconds: float) -> str:
    """`0:42`, `1:02:03`."""
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def format_time(text: str | None) -> str:
    """An ISO time to the second, in UTC; `-` for none."""
    return text[:19].replace("T", " ") if text else "-"


def format_age(seconds: float | None) -> str:
    """In the largest whole unit below it: `42 s`, `7 min`, `5 h`, `12 d`; `-` for None."""
    if seconds is None:
        return "-"
    for limit, unit_s, unit in ((120, 1, "s"), (7_200, 60, "min"), (172_800, 3_600, "h")):
        if seconds < limit:
            return f"{int(seconds // unit_s)} {unit}"
    return f"{int(seconds // 86_400)} d"
