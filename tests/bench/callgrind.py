#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Instructions per Get that hits, counted by callgrind: the same on every run.

usage: callgrind.py VALGRIND BENCH-GET-LOOP
"""
import pathlib
import re
import subprocess
import sys
import tempfile

GETS = 10_000
COUNTS = (10, 500)
FUNCTION = "efistore::variable::Services::get(*"


def instructions_per_get(valgrind, program, variables):
    """What is executed in FUNCTION and below it."""
    with tempfile.TemporaryDirectory() as directory:
        done = subprocess.run(
            [valgrind, "--tool=callgrind", "--collect-atstart=no", f"--toggle-collect={FUNCTION}",
             f"--callgrind-out-file={pathlib.Path(directory) / 'callgrind.out'}",
             program, str(variables), str(GETS)],
            stderr=subprocess.PIPE, text=True, check=False)
    collected = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode != 0 or not collected or int(collected[1]) == 0:
        sys.exit(f"benchmark: callgrind counted nothing:\n{done.stderr}")
    return int(collected[1]) / GETS


def main():
    """One table."""
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    _, valgrind, program = sys.argv
    print("| variables | instructions per Get hit |")
    print("|-----------|--------------------------|")
    for variables in COUNTS:
        print(f"| {variables:9} | {instructions_per_get(valgrind, program, variables):24.1f} |")


if __name__ == "__main__":
    main()
