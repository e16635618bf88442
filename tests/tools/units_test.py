# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The units for systemd: that it understands them, and that they fit the daemon."""

import os
import pathlib
import re
import shutil
import subprocess

import command
import script_test

BINARY_DIR = pathlib.Path(os.environ["EFISTORE_BINARY_DIR"])
UNITS = script_test.SOURCE_DIR / "tools" / "systemd"
CONFIGURED = BINARY_DIR / "tools" / "systemd" / "efistored.service"


class UnitsTest(command.CommandTest):
    def place_units(self, service: str):
        self.path("efistored.service").write_text(service)
        shutil.copy(UNITS / "efistored.socket", self.folder)

    def verify(self):
        analyze = script_test.need_program("systemd-analyze")
        units = [str(self.path(f"efistored.{kind}")) for kind in ("service", "socket")]
        return subprocess.run([analyze, "verify", "--man=no", *units], capture_output=True,
                              text=True, timeout=command.TIMEOUT_S)

    def service(self) -> str:
        """The unit, of the daemon as it was built."""
        text, count = re.subn(r"(?m)^ExecStart=\S+/efistored ",
                              f"ExecStart={os.environ['EFISTORED_COMMAND']} ",
                              CONFIGURED.read_text())
        self.assertEqual(count, 1)
        return text

    def test_systemd_has_no_complaints(self):
        self.place_units(self.service())
        done = self.verify()
        self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""))

    def test_systemd_would_have_some(self):
        self.place_units(self.service().replace("Restart=always", "Restart=sometimes"))
        self.assertIn("sometimes", self.verify().stderr)

    def test_the_socket_is_where_callers_look(self):
        header = (script_test.SOURCE_DIR / "tools/common/locator.hpp").read_text()
        path = re.search(r'daemon_socket = "(.*)"', header)[1]
        self.assertIn(f"ListenSequentialPacket={path}\n",
                      (UNITS / "efistored.socket").read_text())

    def test_nothing_is_left_to_be_filled_in(self):
        self.assertNotIn("@", CONFIGURED.read_text())


if __name__ == "__main__":
    script_test.main()
