# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What `cmake --install` leaves behind of the programs is all of them, with all that goes with them."""

import os
import pathlib
import stat
import tempfile
import unittest

import script_test

BINARY_DIR = os.environ["EFISTORE_BINARY_DIR"]

# By component; what is installed for its user to run is marked.
INSTALLED = {
    "tools": {
        "bin/efistore": True,
        "sbin/efistored": True,
        "share/bash-completion/completions/efistore": False,
        "share/bash-completion/completions/efistored": False,
        "share/man/man1/efistore.1": False,
        "share/man/man5/efistore-firmware.5": False,
        "share/man/man5/efistore-formats.5": False,
        "share/man/man8/efistored.8": False,
        "lib/systemd/system/efistored.service": False,
        "lib/systemd/system/efistored.socket": False,
    },
    "shim": {
        "bin/efivarfs-shim": True,
        "share/man/man8/efivarfs-shim.8": False,
    },
}


class ProgramsTest(unittest.TestCase):
    def test_programs_are_installed_with_all_that_goes_with_them(self):
        for component, expected in INSTALLED.items():
            with self.subTest(component), tempfile.TemporaryDirectory() as folder:
                prefix = pathlib.Path(folder) / "prefix"
                script_test.run(["cmake", "--install", BINARY_DIR, "--component",
                                 component, "--prefix", prefix],
                                env={k: v for k, v in os.environ.items() if k != "DESTDIR"})
                found = {str(path.relative_to(prefix)): bool(path.stat().st_mode & stat.S_IXUSR)
                         for path in prefix.rglob("*") if path.is_file()}
                self.assertEqual(expected, found)


if __name__ == "__main__":
    script_test.main()
