#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Does on a mounted store what was done on the kernel's efivarfs, and compares the results.

The table (vectors/efivarfs/conformance.tsv) has one row per operation with what three kernels
answered; the newest is what the shim follows. Every row of the table is either done here, by the
scenario that yields its id, or stands in EXCLUDED with the reason.

usage: conformance_test.py [--daemon]: with it the store is a daemon's.
"""

import csv
import os
import sys

from conformance import content, flags, lifetime, names, users, writing
from conformance.files import Files
from shim_mount import DaemonMount, Mount, require_fuse_and_root, skip

KERNEL = "linux-7.2.13"

_MAGIC = "FUSE has a type and an identity of its own"
_LEAK = "a bug of the kernel's, which makes a variable that has no file"
_SEEK = "FUSE lets regular files seek; without that they could not pread either"
_PUBLISHED = "a volatile variable that firmware publishes at boot; a mounted image has no firmware"

EXCLUDED = {
    "A02": _MAGIC,
    "A09": _MAGIC,
    "C41": _LEAK,
    "D01": "a write of no bytes does not reach a FUSE file system",
    "D29": "FUSE gets a writev as one write, which is the better for the caller",
    "E40": _PUBLISHED,
    "E41": _PUBLISHED,
    "E42": _PUBLISHED,
    "E45": _PUBLISHED,
    "F03": _SEEK,
    "F04": _SEEK,
    "F05": _SEEK,
    "F06": _SEEK,
    "F17": "FUSE allows private mappings of files without a page cache",
    "F19": "FUSE allows splice",
    "F20": "FUSE allows sendfile",
    "G40": "FUSE has no freezing",
    "G70": _LEAK,
    "H17": "the kernel slows down users other than root, to spare the firmware",
    "I09": "FUSE tells inotify of one change less",
    "SB": "a row of signed updates, which is about the services below",
    "Z08": _LEAK,
}


def load_table():
    path = os.path.join(os.environ["EFISTORE_SHARED_DIR"], "vectors/efivarfs/conformance.tsv")
    if not os.path.exists(path):
        skip(f"{path} is missing")
    with open(path, encoding="utf-8", newline="") as table:
        return list(csv.DictReader(table, delimiter="\t", quoting=csv.QUOTE_NONE))


def run_scenarios(mount_type):
    """Row id → what was seen, and what went so wrong that a scenario could not go on."""
    seen = {}
    problems = []

    def run(scenario, files):
        row = None
        try:
            for row, result in scenario(files):
                assert row not in seen, f"{row} is yielded twice"
                seen[row] = result
        except (AssertionError, OSError) as error:
            problems.append(f"{scenario.__module__}.{scenario.__name__} stopped after {row}: {error}")

    with mount_type() as mount:
        files = Files(mount.path)
        for module in (names, lifetime, writing, content, flags, users):
            for scenario in module.SCENARIOS:
                run(scenario, files)
        run(lifetime.before_remount, files)
        mount.remount()
        run(lifetime.after_remount, files)
    # What firmware does that never makes room at runtime; a daemon makes room.
    with Mount("-o", "strict_runtime") as mount:
        run(writing.full, Files(mount.path))
    return seen, problems


def main():
    require_fuse_and_root()
    os.umask(0o022)
    table = load_table()
    known = {row["id"] for row in table}
    seen, problems = run_scenarios(DaemonMount if "--daemon" in sys.argv[1:] else Mount)

    for row in sorted(known - seen.keys() - EXCLUDED.keys()):
        problems.append(f"{row}: neither done nor excluded")
    for row in sorted((seen.keys() | EXCLUDED.keys()) - known):
        problems.append(f"{row}: not in the table")
    for row in sorted(seen.keys() & EXCLUDED.keys()):
        problems.append(f"{row}: done and excluded")
    equal = 0
    for row in table:
        if row["id"] not in seen:
            continue
        if seen[row["id"]] == row[KERNEL]:
            equal += 1
        else:
            problems.append(f"{row['id']} {row['operation']}: {KERNEL} has {row[KERNEL]!r}, "
                            f"the shim {seen[row['id']]!r}")
    excluded = sum(1 for row in table if row["id"] in EXCLUDED)
    print(f"{len(table)} rows: {len(seen)} done, {excluded} excluded, {equal} equal to {KERNEL}")
    print("\n".join(problems))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
