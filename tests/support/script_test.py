# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What the tests in Python share: where things are, running programs, and skipping.

CTest puts this folder into PYTHONPATH. A test that lacks something says so by `need_program()`,
`need_file()` or `need_shared()`: it is skipped, or fails where CI=true promises that
tools/dev/test has installed everything.
"""

import os
import pathlib
import shlex
import shutil
import subprocess
import sys
import unittest

SKIPPED = 77
COMMAND_TIMEOUT_S = 120

SOURCE_DIR = pathlib.Path(
    os.environ.get("EFISTORE_SOURCE_DIR", pathlib.Path(__file__).resolve().parents[2]))
SHARED_DIR = pathlib.Path(os.environ.get("EFISTORE_SHARED_DIR", SOURCE_DIR.parent / "shared"))


def missing(what: str):
    """Ends the running test: skipped, or failed under CI=true."""
    if os.environ.get("CI") == "true":
        raise AssertionError(f"{what}; tools/dev/test should have provided it")
    raise unittest.SkipTest(what)


def need_program(name: str) -> str:
    path = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if path is None:
        missing(f"there is no program {name}")
    return path


def need_file(path) -> pathlib.Path:
    path = pathlib.Path(path)
    if not path.is_file():
        missing(f"there is no file {path}")
    return path


def need_shared(path: str) -> pathlib.Path:
    """A vector of another producer, beside the checkout."""
    return need_file(SHARED_DIR / path)


def run(command, *, timeout_s=COMMAND_TIMEOUT_S, check=True, **options):
    """Runs a program and returns its CompletedProcess; a failure shows what it printed."""
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, timeout=timeout_s, **options)
    if check and done.returncode != 0:
        raise AssertionError(
            f"{shlex.join(words)[:2000]}: exit status {done.returncode}\n"
            f"{done.stdout.decode(errors='replace')}{done.stderr.decode(errors='replace')}")
    return done


def main():
    """unittest.main() with exit status 77 when every test was skipped, all of it or a part."""
    result = unittest.main(exit=False, verbosity=2).result
    if not result.wasSuccessful() or result.testsRun == 0:
        sys.exit(1)
    # A part is a subTest(), which is reported in its test's place.
    skipped = {getattr(test, "test_case", test).id() for test, _ in result.skipped}
    sys.exit(SKIPPED if len(skipped) == result.testsRun else 0)
