# SPDX-License-Identifier: BSD-2-Clause-Patent
"""H: users other than root. I: several open files at once."""

import ctypes
import os
import struct
import threading
import traceback

from .files import IMMUTABLE, Files, attempt, attempt_call, libc, payload

NOBODY = 65534
CAP_LINUX_IMMUTABLE = 9
CAPABILITY_VERSION_3 = 0x20080522


def without_immutable_capability():
    header = ctypes.create_string_buffer(struct.pack("=Ii", CAPABILITY_VERSION_3, 0))
    sets = (ctypes.c_uint32 * 6)()
    assert libc.capget(header, sets) == 0
    for i in range(3):  # effective, permitted, inheritable of capabilities 0 to 31
        sets[i] &= ~(1 << CAP_LINUX_IMMUTABLE)
    assert libc.capset(header, sets) == 0


def as_nobody():
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)


def in_child(become, operations):
    """The results of `operations`, done one after the other in a process that is somebody else."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            become()
            os.write(writing, "\n".join(operation() for operation in operations).encode())
            os._exit(0)
        except BaseException:  # nothing of the parent's may run on in the child
            traceback.print_exc()
            os._exit(1)
    os.close(writing)
    with open(reading, encoding="utf-8") as pipe:
        results = pipe.read().split("\n")
    assert os.waitpid(child, 0)[1] == 0, "the child failed"
    return results


def nobody(files: Files):
    path = files.make(files.path("nobody"))

    def access(mode):
        return attempt_call("access", path, mode)

    def figures_and_list():
        figures = attempt(lambda: os.statvfs(files.root) and None)
        return f"{figures},{attempt(lambda: os.listdir(files.root) and None)}"

    rows = {
        "H10": lambda: files.set_flags(path, 0),
        "H11": lambda: attempt(os.chmod, path, 0o666),
        "H12": lambda: attempt(os.utime, path),
        "H13": figures_and_list,
        "H14": lambda: attempt(os.mkdir, files.path("directory")),
        "H15": lambda: f"{access(os.R_OK)},{access(os.W_OK)}",
        "H16": lambda: attempt(os.truncate, path, 0),
    }
    yield from zip(rows, in_child(as_nobody, rows.values()))


def owner(files: Files):
    path = files.make(files.path("owned"))
    os.chown(path, NOBODY, NOBODY)
    rows = {
        "H20": lambda: files.set_flags(path, 0),
        "H21": lambda: files.set_flags(path, IMMUTABLE),
        "H22": lambda: files.write(path, payload(b"own")),
        "H23": lambda: attempt(os.unlink, path),
    }
    yield from zip(rows, in_child(as_nobody, rows.values()))
    files.set_flags(path, IMMUTABLE)
    yield "H24", in_child(without_immutable_capability, [lambda: files.set_flags(path, 0)])[0]


def two_writers(files: Files):
    path = files.make(files.path("shared"))
    first, second = (os.open(path, os.O_RDWR) for _ in range(2))

    def name():
        return f"name {files.state(path)}"

    yield "I01", attempt(os.write, first, payload(b"ab"))
    yield "I02", attempt(os.write, second, payload(b"cdef"))
    yield "I03", attempt(os.pread, first, 64, 0)
    yield "I04", f"{attempt(os.write, second, payload(b''))}; {name()}"
    yield "I05", attempt(os.pread, first, 64, 0)
    yield "I06", f"{attempt(os.write, first, payload(b'gh'))}; {name()}"
    os.close(first)
    os.close(second)
    yield "I07", f"{files.state(path)}; listed {files.listed(path)}"
    if not os.path.exists(path):  # kernels before 6.14 let a name go at once
        files.make(path)
    fd = os.open(path, os.O_WRONLY)
    files.set_flags(path, IMMUTABLE)
    yield "I08", attempt(os.write, fd, payload(b"ij"))
    os.close(fd)


def concurrent_writers(files: Files):
    path = files.make(files.path("contended"))

    def write_often(letter):
        fd = os.open(path, os.O_WRONLY)
        for size in range(1, 60):
            os.write(fd, payload(letter * size * 16))
        os.close(fd)

    threads = [threading.Thread(target=write_often, args=(letter,))
               for letter in (b"a", b"b", b"c", b"d")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with open(path, "rb", buffering=0) as file:
        data = file.read(1 << 16)[4:]
    yield "I10", f"{int(len(data) == 59 * 16 and len(set(data)) == 1)}"


SCENARIOS = [nobody, owner, two_writers, concurrent_writers]
