#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""kernel_conformance.py MOUNTPOINT TABLE COLUMN: does what the shim's conformance test does, and what
only a kernel can do, on the kernel's own efivarfs whose variables are efistored's, and compares
with what the same kernel answered with genuine OVMF below it.

Every row of the table is either done, or stands in EXCLUDED with the reason.
"""

import csv
import ctypes
import fcntl
import mmap
import os
import struct
import subprocess
import sys
import time

from conformance import content, flags, lifetime, names, users, writing
from conformance.files import CRASH, Files, attempt, libc, payload
from conformance.users import as_nobody, in_child

_FIGURES = "the kernel asks for them only where it has EFI's run-time services"
_PUBLISHED = "a volatile variable that firmware publishes at boot; there is no firmware"
_OVMF = "OVMF makes no room at run time, efistored does"

EXCLUDED = {
    "A06": _FIGURES,
    "A07": _FIGURES,
    "D73": _OVMF,
    "D74": _OVMF,
    "D75": _FIGURES,
    "D76": _OVMF,
    "E40": _PUBLISHED,
    "E41": _PUBLISHED,
    "E42": _PUBLISHED,
    "E45": _PUBLISHED,
    "SB": "a row of signed updates, which is about the services below",
    "I09": "inotify tells what the kernel's files did, whatever is below",
}

FIFREEZE, FITHAW = 0xC0045877, 0xC0045878
SPLICE_SIZE = 64


def kernel_only(files: Files):
    """What a FUSE file system cannot do as the kernel does."""
    buffer = ctypes.create_string_buffer(120)
    assert libc.statfs(files.root, buffer) == 0
    yield "A02", f"{struct.unpack_from('=q', buffer)[0]:#x}"
    yield "A09", f"{int(any(struct.unpack_from('=2i', buffer, 56)))}"

    path = files.path("kernel-only")
    fd = os.open(path, os.O_CREAT | os.O_RDWR)
    yield "D01", attempt(os.write, fd, b"")
    result = attempt(os.writev, fd, [payload(b""), b"data"])
    yield "D29", f"{result}; {files.fd_state(fd)}"
    os.close(fd)

    path = files.make(files.path("kernel-read"), b"0123456789")
    fd = os.open(path, os.O_RDONLY)
    for row, whence in (("F03", os.SEEK_SET), ("F04", os.SEEK_END), ("F05", os.SEEK_CUR),
                        ("F06", os.SEEK_DATA)):
        yield row, attempt(os.lseek, fd, 0, whence)
    yield "F17", attempt(lambda: mmap.mmap(fd, 14, mmap.MAP_PRIVATE, mmap.PROT_READ).close())
    reading, pipe = os.pipe()
    yield "F19", attempt(os.splice, fd, pipe, SPLICE_SIZE)
    yield "F20", attempt(os.sendfile, pipe, fd, 0, SPLICE_SIZE)
    for end in (reading, pipe, fd):
        os.close(end)

    root = os.open(files.root, os.O_RDONLY)
    frozen = attempt(lambda: fcntl.ioctl(root, FIFREEZE, 0) and None)
    if frozen == "OK":
        fcntl.ioctl(root, FITHAW, 0)
    yield "G40", frozen
    os.close(root)


def slowed_down(files: Files):
    path = files.make(files.path("slow"))

    def read_often():
        start = time.monotonic()
        for _ in range(300):
            files.content(path)
        return f"{int(time.monotonic() - start > 1)}"

    yield "H17", in_child(as_nobody, [read_often])[0]


def leaks(files: Files):
    """A write after the unlink makes a variable that has no file until a remount."""
    path = files.path("leaked", CRASH)
    fd = os.open(path, os.O_CREAT | os.O_RDWR)
    os.unlink(path)
    os.write(fd, payload(b"a"))
    os.close(fd)
    fd = os.open(path, os.O_CREAT | os.O_RDWR)
    yield "C41", attempt(os.read, fd, 64)
    os.close(fd)

    path = files.make(files.path("leaked-other"))
    fd = os.open(path, os.O_RDWR)
    os.unlink(path)
    os.write(fd, payload(b"ab"))
    os.close(fd)
    fd = os.open(path, os.O_CREAT | os.O_RDWR)
    yield "G70", attempt(os.read, fd, 64)
    os.close(fd)

    path = files.make(files.path("ghost"))
    fd = os.open(path, os.O_RDWR)
    os.unlink(path)
    os.write(fd, payload(b"ghost"))
    os.close(fd)


def after_leaks(files: Files):
    path = files.path("ghost")
    yield "Z08", f"{files.state(path)} {files.content(path)}"


def remount(mountpoint):
    subprocess.run(["umount", mountpoint], check=True)
    subprocess.run(["mount", "-t", "efivarfs", "efivarfs", mountpoint], check=True)


def run_scenarios(mountpoint):
    """Row id → what was seen, and what went so wrong that a scenario could not go on."""
    seen = {}
    problems = []
    files = Files(mountpoint)

    def run(scenario):
        row = None
        try:
            for row, result in scenario(files):
                assert row not in seen, f"{row} is yielded twice"
                seen[row] = result
        except (AssertionError, OSError) as error:
            problems.append(f"{scenario.__module__}.{scenario.__name__} stopped after {row}: {error}")

    for module in (names, lifetime, writing, content, flags, users):
        for scenario in module.SCENARIOS:
            run(scenario)
    for scenario in (kernel_only, slowed_down, lifetime.before_remount, leaks):
        run(scenario)
    remount(mountpoint)
    for scenario in (lifetime.after_remount, after_leaks):
        run(scenario)
    return seen, problems


def main():
    mountpoint, path, column = sys.argv[1:]
    os.umask(0o022)
    with open(path, encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    column = next(name for name in table[0] if name.startswith(column))
    known = {row["id"] for row in table}
    seen, problems = run_scenarios(mountpoint)

    for row in sorted(known - seen.keys() - EXCLUDED.keys()):
        problems.append(f"{row}: neither done nor excluded")
    equal = 0
    for row in table:
        if row["id"] not in seen or row["id"] in EXCLUDED:
            continue
        if seen[row["id"]] == row[column]:
            equal += 1
        else:
            problems.append(f"{row['id']} {row['operation']}: {column} has {row[column]!r}, "
                            f"here {seen[row['id']]!r}")
    excluded = sum(1 for row in table if row["id"] in EXCLUDED)
    print(f"{len(table)} rows: {excluded} excluded, {equal} equal to {column}")
    print("\n".join(problems))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
