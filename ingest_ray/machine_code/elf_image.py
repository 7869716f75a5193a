"""Brings an ELF object file of x86-64 into memory: its code and constants, each reference between them set.

A linker would do it, and LLVM does it where this cannot; it takes 1 ms and some pages of memory instead of 30 ms and 40 MiB.
https://refspecs.linuxfoundation.org/elf/x86_64-abi-0.99.pdf, sections 4.1 to 4.4.
"""

import ctypes
import mmap
import struct
from dataclasses import dataclass

MACHINE_X86_64 = 62
CONTENT, SYMBOLS, RELOCATIONS, ZEROS = 1, 2, 4, 8  # types of sections
WRITTEN, IN_MEMORY = 1, 2  # flags of sections
ABSOLUTE_64, RELATIVE_32, CALL_32, RELATIVE_64 = 1, 2, 4, 24  # types of relocations
FROM_C = frozenset({"memcpy", "memmove", "memset"})
JUMP = b"\xff\x25\x00\x00\x00\x00"  # to the address that follows
PAGE = 4096


class UnknownObject(Exception):
    """The object file has something that is not known here."""


@dataclass(frozen=True)
class _Section:
    name: int
    kind: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int
    align: int
    item_size: int


class ElfImage:
    """`addresses` are those of its functions by their symbols; the memory stays for the life of the process."""

    def __init__(self, content: bytes) -> None:
        if content[:6] != b"\x7fELF\x02\x01" or struct.unpack_from("<HH", content, 16) != (1, MACHINE_X86_64):
            raise UnknownObject("it is no object file for x86-64")
        self._content = content
        start, count = struct.unpack_from("<Q", content, 40)[0], struct.unpack_from("<H", content, 60)[0]
        self._sections = [_Section(*struct.unpack_from("<IIQQQQIIQQ", content, start + 64 * n)) for n in range(count)]
        self._positions, size = self._lay_out()
        self._stubs: dict[str, int] = {}
        self._size = size + len(FROM_C) * 16
        self._memory = mmap.mmap(-1, -(-self._size // PAGE) * PAGE, prot=mmap.PROT_READ | mmap.PROT_WRITE)
        self._view = (ctypes.c_char * self._size).from_buffer(self._memory)
        self._base = ctypes.addressof(self._view)
        for number, position in self._positions.items():
            section = self._sections[number]
            self._memory[position : position + section.size] = content[section.offset : section.offset + section.size]
        self._symbols = self._read_symbols()
        self._relocate(size)
        self._protect()
        self.addresses = {
            name: self._base + self._positions[section] + value
            for name, section, value in self._symbols
            if section in self._positions
        }

    def _lay_out(self) -> tuple[dict[int, int], int]:
        """Where each section with code or constants begins, and where the last one ends."""
        positions, end = {}, 0
        for number, section in enumerate(self._sections):
            if not section.flags & IN_MEMORY or not section.size:
                continue
            if section.flags & WRITTEN or section.kind == ZEROS:
                raise UnknownObject("it has variables")
            if section.kind != CONTENT or self._name_of(section) == ".eh_frame":
                continue
            end += -end % max(1, section.align)
            positions[number] = end
            end += section.size
        return positions, end + -end % 16

    def _name_of(self, section: _Section) -> str:
        names = self._sections[struct.unpack_from("<H", self._content, 62)[0]]
        return self._text(names.offset + section.name)

    def _text(self, at: int) -> str:
        return self._content[at : self._content.index(b"\0", at)].decode()

    def _read_symbols(self) -> list[tuple[str, int, int]]:
        """The name, the section and the value of each."""
        table = next(section for section in self._sections if section.kind == SYMBOLS)
        names = self._sections[table.link].offset
        found = []
        for at in range(table.offset, table.offset + table.size, 24):
            name, _, _, section, value, _ = struct.unpack_from("<IBBHQQ", self._content, at)
            found.append((self._text(names + name), section, value))
        return found

    def _relocate(self, stubs: int) -> None:
        for table in self._sections:
            if table.kind != RELOCATIONS or table.info not in self._positions:
                continue
            for at in range(table.offset, table.offset + table.size, 24):
                offset, info, addend = struct.unpack_from("<QQq", self._content, at)
                position = self._positions[table.info] + offset
                self._set(position, info & 0xFFFFFFFF, self._target(info >> 32, stubs) + addend)

    def _target(self, symbol: int, stubs: int) -> int:
        name, section, value = self._symbols[symbol]
        if section in self._positions:
            return self._positions[section] + value
        if section or name not in FROM_C:
            raise UnknownObject(f"it refers to '{name}'")
        if name not in self._stubs:
            position = stubs + 16 * len(self._stubs)
            address = ctypes.cast(getattr(ctypes.CDLL(None), name), ctypes.c_void_p).value
            self._memory[position : position + 14] = JUMP + struct.pack("<Q", address)
            self._stubs[name] = position
        return self._stubs[name]

    def _set(self, position: int, kind: int, target: int) -> None:
        match kind:
            case _ if kind in (RELATIVE_32, CALL_32):
                struct.pack_into("<i", self._memory, position, target - position)
            case _ if kind == RELATIVE_64:
                struct.pack_into("<q", self._memory, position, target - position)
            case _ if kind == ABSOLUTE_64:
                struct.pack_into("<Q", self._memory, position, self._base + target)
            case _:
                raise UnknownObject(f"it has a relocation of type {kind}")

    def _protect(self) -> None:
        """From now on the memory is executed and not written."""
        libc = ctypes.CDLL(None, use_errno=True)
        address, size = ctypes.c_void_p(self._base), ctypes.c_size_t(len(self._memory))
        if libc.mprotect(address, size, mmap.PROT_READ | mmap.PROT_EXEC):
            raise OSError(ctypes.get_errno(), "memory cannot be made executable")
