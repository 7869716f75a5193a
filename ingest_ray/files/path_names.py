"""Names of units, runs and slices as parts of paths and URIs: unchanged where that is safe, quoted where it is not.

Quoted as `~2F`, not `%2F`: Delta's reader decodes percent signs in paths once too often and then looks in another directory.
"""

_UNSAFE = frozenset('/\\:*?"<>|%#~')


def path_part(name: str) -> str:
    """One path segment that every file system and URI accepts unchanged; different names stay different."""
    quoted = [_quote(char) if char in _UNSAFE or not char.isprintable() else char for char in name]
    if name[:1] in ("", ".", "_", " "):  # hidden from some readers, or the parent folder
        quoted[:1] = [_quote(name[:1])] if name else ["~"]
    if len(name) > 1 and name[-1] in ". ":  # cut off by some file systems
        quoted[-1] = _quote(name[-1])
    return "".join(quoted)


def _quote(char: str) -> str:
    return "".join(f"~{byte:02X}" for byte in char.encode("utf-8", "surrogatepass"))
