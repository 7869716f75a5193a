"""Names of units, runs and slices as parts of paths and URIs: unchanged where that is safe, quoted where it is not.

Quoted as `~2F`, not `%2F`: Delta's reader decodes percent signs in paths once too often and then looks in another directory.
"""

import hashlib

PART_BYTES = 255  # of one segment, on the usual file systems
FILE_BYTES = 200  # of the name of a file that gets an ending
HASH_CHARS = 16

_UNSAFE = frozenset('/\\:*?"<>|%#~')


def path_part(name: str, most_bytes: int = PART_BYTES) -> str:
    """One path segment that every file system and URI accepts unchanged; different names stay different.

    One that is too long is cut and ends with `~~` and a hash of the name.
    """
    quoted = [_quote(char) if char in _UNSAFE or not char.isprintable() else char for char in name]
    if name[:1] in ("", ".", "_", " "):  # hidden from some readers, or the parent folder
        quoted[:1] = [_quote(name[:1])] if name else ["~"]
    if len(name) > 1 and name[-1] in ". ":  # cut off by some file systems
        quoted[-1] = _quote(name[-1])
    return _cut("".join(quoted), name, most_bytes)


def _cut(part: str, name: str, most_bytes: int) -> str:
    content = part.encode("utf-8", "surrogatepass")
    if len(content) <= most_bytes:
        return part
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:HASH_CHARS]
    beginning = content[: most_bytes - HASH_CHARS - 2].decode("utf-8", "ignore")
    return f"{beginning.rstrip('~. ')}~~{digest}"


def _quote(char: str) -> str:
    return "".join(f"~{byte:02X}" for byte in char.encode("utf-8", "surrogatepass"))
