# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A: the file system's figures. B: file names."""

import os

from .files import VENDOR, Files, attempt


def figures(files):
    status = os.statvfs(files.root)
    yield "A01", "OK"
    yield "A03", f"{status.f_bsize}"
    yield "A04", f"{status.f_frsize}"
    yield "A05", f"{status.f_namemax}"
    holds = (status.f_blocks > 0, status.f_bfree > 0, status.f_bfree <= status.f_blocks)
    yield "A06", ",".join(f"{int(one)}" for one in holds)
    yield "A07", f"{status.f_bfree - status.f_bavail}"
    yield "A08", f"{status.f_files},{status.f_ffree}"


CREATED = {
    "B01": b"abc-" + VENDOR,
    "B02": b"dump-type0-11-1-1362436005-" + VENDOR,
    "B03": b"1234-" + VENDOR,
    "B04": b"--" + VENDOR,
    "B05": b"-" + VENDOR,
    "B06": VENDOR,
    "B07": b"foo",
    "B08": b"foo-bar",
    "B09": b"-1234-1234-1234-123456789abc",
    "B20": b"a b-" + VENDOR,
    "B21": b".hid-" + VENDOR,
    "B22": b"a!b-" + VENDOR,
    "B23": "caf\u00e9-".encode() + VENDOR,
    "B24": b"bad\xff-" + VENDOR,
    "B25": b"two\nlines-" + VENDOR,
    "B26": b"abc-{" + VENDOR + b"}",
    "B27": b"n" * 218 + b"-" + VENDOR,
    "B28": b"n" * 219 + b"-" + VENDOR,
    "B29": b"RandomSeed-1ce1e5bc-7ceb-42f2-81e5-8aadf180f57b",
}


def creation(files):
    for row, name in CREATED.items():
        path = files.raw(name)
        yield row, files.create(path)
        if len(name) <= 255:
            files.remove(path)


def missing(files):
    absent = files.path("absent")
    yield "B30", attempt(os.stat, files.raw("foo"))
    yield "B31", files.try_open(files.raw("foo"), os.O_RDONLY)
    yield "B32", attempt(os.unlink, files.raw("foo"))
    yield "B33", attempt(os.stat, absent)
    yield "B34", files.try_open(absent, os.O_RDWR)
    yield "B35", attempt(os.unlink, absent)
    yield "B36", attempt(os.stat, files.raw(b"n" * 219 + b"-" + VENDOR))


def spellings(files: Files):
    lower = files.make(files.path("case"))
    upper = files.path("case", VENDOR.upper())
    other = files.path("CASE")
    yield "B37", attempt_stat(upper)
    yield "B38", f"{int(os.stat(lower).st_ino == os.stat(upper).st_ino)}"
    yield "B39", attempt_stat(other)
    yield "B40", files.try_open(upper, os.O_CREAT | os.O_EXCL | os.O_RDWR)
    yield "B41", f"{files.listed(lower)}/{files.listed(upper)}"
    yield "B42", f"{attempt(os.unlink, upper)}, then {files.state(lower)}"
    files.make(upper)
    yield "B43", f"{files.listed(upper)}/{files.listed(lower)}"
    yield "B44", files.try_open(lower, os.O_RDONLY)
    yield "B45", files.try_open(lower + b"/", os.O_RDONLY)
    yield "B46", files.try_open(lower, os.O_DIRECTORY)
    files.remove(lower)


def attempt_stat(path):
    return attempt(lambda: os.stat(path) and None)


SCENARIOS = [figures, creation, missing, spellings]
