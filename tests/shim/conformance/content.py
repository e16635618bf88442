# SPDX-License-Identifier: BSD-2-Clause-Patent
"""E: content of variables that the specification defines. F: reading."""

import fcntl
import mmap
import os
import select
import struct
import tempfile

from .files import GLOBAL, Files, attempt, attempt_call, payload

END_NODE = b"\x7f\xff\x04\0"


def load_option(path=END_NODE, path_size=None, more=b""):
    size = len(path) if path_size is None else path_size
    return struct.pack("<IH", 1, size) + "x".encode("utf-16le") + b"\0\0" + path + more


DEFINED = {
    "E01": ("BootNext", b"\1\0"),
    "E02": ("BootNext", b"\1\0\0"),
    "E03": ("BootOrder", b"\1\0\0"),
    "E04": ("BootFFF0", load_option()),
    "E05": ("BootFFF0", b"\1\0\0\0"),
    "E06": ("BootFFF0", load_option(path_size=100)),
    "E07": ("BootFFF0", load_option(b"\x01\x01\x40\0" + END_NODE)),
    "E08": ("BootFFF0", load_option(b"\x01\x01\x08\0abcd")),
    "E09": ("BootFFF0", load_option(more=b"option")),
    "E10": ("BootFFF00", b"junk"),
    "E11": ("BootJunk", b"x"),
    "E12": ("Bootfff1", b"malformed"),
    "E13": ("DriverFFF0", load_option()),
    "E14": ("DriverOrder", b"x"),
    "E15": ("Timeout", b"x"),
    "E16": ("Timeout", b"\5\0"),
    "E17": ("PlatformLang", b"en"),
    "E18": ("PlatformLang", b"en\0"),
    "E19": ("PlatformLang", b"\xc3\xa9\0"),
}


def defined(files: Files):
    for row, (name, data) in DEFINED.items():
        path = files.path(name, GLOBAL)
        yield row, files.create(path, payload(data)).removeprefix("OK write=")
        files.remove(path)
    for row, name in (("E43", "PK-" + GLOBAL.decode()),
                      ("E44", "db-d719b2cb-3d3a-4596-a3bc-dad00e67656f")):
        yield row, "ABSENT" if not os.path.exists(files.raw(name)) else "there"


def reading(files: Files):
    path = files.make(files.path("read"), b"0123456789")
    fd = os.open(path, os.O_RDONLY)
    yield "F01", attempt(os.read, fd, 64)
    yield "F02", attempt(os.read, fd, 64)
    part = os.pread(fd, 4, 4)
    yield "F07", f"OK:{len(part)} {part.decode()}"
    yield "F08", attempt(os.pread, fd, 64, 13)
    yield "F09", attempt(os.pread, fd, 64, 14)
    yield "F10", attempt(os.pread, fd, 64, 1000000)
    yield "F11", attempt(os.pread, fd, 64, -1)
    yield "F12", attempt(os.read, fd, 0)
    os.close(fd)

    fd = os.open(path, os.O_RDONLY)
    results = [attempt(os.read, fd, size) for size in (1, 3, 5, 64)]
    yield "F13", ",".join(results[:2])
    yield "F14", ",".join(results[2:])
    os.close(fd)

    fd = os.open(path, os.O_RDONLY)
    yield "F15", attempt(os.readv, fd, [bytearray(4), bytearray(20)])
    yield "F16", attempt(os.write, fd, payload())
    yield "F18", attempt(lambda: mmap.mmap(fd, 14, mmap.MAP_SHARED, mmap.PROT_READ).close())
    with tempfile.TemporaryFile() as target:
        yield "F21", attempt(os.copy_file_range, fd, target.fileno(), 14)
    poller = select.poll()
    poller.register(fd, select.POLLIN | select.POLLOUT)
    yield "F22", f"{poller.poll(0)[0][1]:#x}"
    yield "F23", attempt(os.fsync, fd)
    yield "F24", attempt(os.fdatasync, fd)
    directory = os.open(files.root, os.O_RDONLY)
    yield "F25", attempt(os.fsync, directory)
    os.close(directory)
    yield "F26", attempt_call("syncfs", fd)
    yield "F27", attempt(fcntl.flock, fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    yield "F28", attempt(lambda: fcntl.lockf(fd, fcntl.LOCK_SH | fcntl.LOCK_NB) and None)
    yield "F29", attempt(os.posix_fadvise, fd, 0, 0, os.POSIX_FADV_SEQUENTIAL)
    os.close(fd)


SCENARIOS = [defined, reading]
