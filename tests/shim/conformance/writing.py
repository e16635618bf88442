# SPDX-License-Identifier: BSD-2-Clause-Patent
"""D: what a write does."""

import os

from .files import CRASH, Files, attempt, payload


def short_writes(files: Files):
    path = files.path("short")
    fd = os.open(path, os.O_CREAT | os.O_RDWR)
    yield "D02", attempt(os.write, fd, b"\x07")
    yield "D03", attempt(os.write, fd, b"\x07\0\0")
    yield "D04", attempt(os.write, fd, payload(b""))
    yield "D05", attempt(os.write, fd, payload(b"x", 0))
    yield "D06", attempt(os.write, fd, payload(b"A"))
    yield "D07", attempt(os.write, fd, payload(b"BC"))
    os.close(fd)
    yield "D08", files.content(path)


def existing(files: Files):
    path = files.make(files.path("existing-write"), b"BC")
    yield "D09", files.write(path, payload(b"x", 3))
    yield "D10", files.write(path, payload(b"x", 6))
    fd = os.open(path, os.O_WRONLY)
    result = attempt(os.write, fd, payload(b"x", 0))
    yield "D11", f"{result}; {files.fd_state(fd)}"
    os.close(fd)
    yield "D12", files.state(path)

    path = files.make(files.path("append"), b"ABCDEF")

    def write(data):
        return f"{files.write(path, data)}; {files.content(path)}"

    yield "D13", write(payload(b"gh", 0x47))
    yield "D14", write(payload(b"", 0x47))
    yield "D15", write(payload(b"z"))
    fd = os.open(path, os.O_WRONLY)
    result = attempt(os.pwrite, fd, payload(b"QQ"), 100)
    os.close(fd)
    yield "D16", f"{result}; {files.content(path)}"
    yield "D17", write(payload(b"x", 0x46))
    yield "D18", write(payload(b"QQ"))


def deletion(files: Files):
    path = files.make(files.path("deleted"), b"ab")
    fd = os.open(path, os.O_RDWR)
    result = attempt(os.write, fd, payload(b""))
    yield "D19", f"{result}; {files.fd_state(fd)}; name {files.state(path)}"
    yield "D20", attempt(os.write, fd, payload(b""))
    result = attempt(os.write, fd, payload(b"new"))
    yield "D21", f"{result}; {files.fd_state(fd)}; name {files.state(path)}"
    os.close(fd)
    yield "D22", f"{files.state(path)}; listed {files.listed(path)}"

    for rows, attributes in ((("D23", "D24"), 0), (("D25", "D26"), 3)):
        path = files.make(files.path("deleted-otherwise"))
        fd = os.open(path, os.O_RDWR)
        result = attempt(os.write, fd, payload(b"", attributes))
        yield rows[0], f"{result}; {files.fd_state(fd)}"
        os.close(fd)
        yield rows[1], files.state(path)


def append_to_nothing(files: Files):
    path = files.path("appended")
    result = files.create(path, payload(b"ap", 0x47)).removeprefix("OK write=")
    yield "D27", f"{result}; {files.content(path)}"
    path = files.path("appended-nothing")
    result = files.create(path, payload(b"", 0x47)).removeprefix("OK write=")
    yield "D28", f"{result}; {files.state(path)}"


ATTRIBUTES = {
    "D40": 0x0, "D41": 0x1, "D42": 0x2, "D43": 0x3, "D44": 0x4, "D45": 0x5, "D46": 0x6,
    "D47": 0x7, "D48": 0xF, "D49": 0x17, "D50": 0x27, "D51": 0x40, "D52": 0x37, "D53": 0x87,
    "D54": 0x107, "D55": 0xFFFFFFFF, "D56": 0x80000007,
}


def attribute_values(files: Files):
    for row, attributes in ATTRIBUTES.items():
        path = files.path(row)
        result = files.create(path, payload(b"ab", attributes)).removeprefix("OK write=")
        yield row, f"{result}; file {files.state(path)}; content {files.content(path)}"


SIZES = {
    "D60": 1024, "D61": 4092, "D62": 4096, "D63": 8192, "D64": 32768, "D65": 33000, "D66": 65536,
    "D67": 131072, "D68": 131068, "D69": 262144, "D70": 1048576, "D71": 4194304, "D72": 65000,
}


def sizes(files: Files):
    for row, size in SIZES.items():
        path = files.path("sized")
        attributes = 6 if row == "D72" else 7
        data = payload(b"s" * size, attributes)
        result = files.create(path, data).removeprefix("OK write=")
        yield row, f"{result}; {files.state(path)}"
        files.remove(path)


def full(files: Files):
    """On a store of its own, which is full afterwards."""
    made = []
    result = "OK write=OK:16004"
    while result == "OK write=OK:16004":
        path = files.path(f"fill{len(made)}", CRASH)
        result = files.create(path, payload(b"f" * 16000))
        made.append(path)
        assert len(made) < 100, "the store does not fill"
    yield "D73", result.removeprefix("OK write=")
    yield "D74", files.state(made.pop())
    free = os.statvfs(files.root).f_bfree
    yield "D75", f"{int(free < 16000 + 5120 + 200)}"
    for path in made:
        os.unlink(path)
    result = files.create(files.path("after", CRASH), payload(b"f" * 16000))
    yield "D76", result.removeprefix("OK write=")


SCENARIOS = [short_writes, existing, deletion, append_to_nothing, attribute_values, sizes]
