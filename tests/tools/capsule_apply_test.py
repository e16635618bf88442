# SPDX-License-Identifier: BSD-2-Clause-Patent
"""capsule apply and esrt: firmware onto image files that stand for flash."""

import json

import script_test
from capsules import TYPE_A, CapsuleTest
from command import FAILURE, USAGE

BLOCK = 4096


class ApplyTest(CapsuleTest):
    def setUp(self):
        super().setUp()
        self.run_it("create", "--layout", "ovmf-2m")
        self.old = bytes(range(256)) * 256  # 64 KiB
        self.path("flash.img").write_bytes(self.old)
        self.path("firmware.d").mkdir()
        self.describe()

    def describe(self, more=""):
        self.path("firmware.d/loader.toml").write_text(
            f'image_type = "{TYPE_A}"\nname = "loader"\ntype = "system"\n'
            f'target = "{self.path("flash.img")}"\n'
            f'certificates = ["{self.vector("keys/root.crt")}"]\n'
            f'version = {{ recorded = 0x10000 }}\n{more}')

    def capsule(self, firmware: bytes, version="0x20001", name="s.cap"):
        self.path("fw.bin").write_bytes(firmware)
        self.create("plain.cap", "--force", "--payload", "fw.bin", "--type", TYPE_A, "--version",
                    version, "--lowest-supported", "0x10000")
        self.sign("plain.cap", name, "--force", "--chain", self.vector("keys/int.crt"))

    def options(self):
        return "--firmware", self.path("firmware.d"), "--state", self.path("state")

    def apply(self, name="s.cap", *words) -> str:
        return self.text("capsule", "apply", name, *self.options(), *words)

    def esrt(self) -> dict:
        entries = self.json("esrt", *self.options())["entries"]
        self.assertEqual(len(entries), 1)
        return entries[0]

    def test_firmware_is_written_and_reported(self):
        self.assertEqual(self.esrt()["fw_version"], 0x10000)
        firmware = b"new firmware" * 1000
        self.capsule(firmware)
        self.assertEqual(self.apply(), "s.cap: payload 0: loader, version 0x20001: "
                         "wrote 3 of 3 blocks of 4096 bytes\n")
        self.assertEqual(self.path("flash.img").read_bytes(),
                         firmware + b"\xff" * (3 * BLOCK - len(firmware)) + self.old[3 * BLOCK:])
        entry = self.esrt()
        self.assertEqual((entry["fw_class"], entry["fw_type"], entry["fw_version"],
                          entry["lowest_supported_fw_version"], entry["last_attempt_version"],
                          entry["last_attempt_status"]),
                         (TYPE_A, "system", 0x20001, 0x10000, 0x20001, 0))
        self.assertIn("version 0x20001", self.text("esrt", *self.options()))
        self.assertEqual(list(self.path("state").iterdir()), [])
        self.assertIn("wrote 0 of 3 blocks", self.apply())

    def test_only_blocks_that_differ_are_written(self):
        firmware = bytearray(self.old)
        firmware[5 * BLOCK + 7] ^= 1
        self.capsule(bytes(firmware))
        self.assertEqual(self.apply("s.cap", "--dry-run"),
                         "s.cap: payload 0: loader, version 0x20001: would write 1 of 16 blocks of "
                         "4096 bytes\n  bytes 0x5000 to 0x5fff\n")
        self.assertEqual(self.path("flash.img").read_bytes(), self.old)
        self.assertFalse(self.path("state").exists())
        lines = [json.loads(line) for line in self.apply("s.cap", "--json").splitlines()]
        self.assertEqual({line["event"] for line in lines[:-1]},
                         {"verifying", "comparing", "writing"})
        self.assertEqual(lines[-1]["payloads"][0]["blocks"], [{"first": 5, "count": 1}])
        self.assertEqual((lines[-1]["status"], lines[-1]["payloads"][0]["written"]),
                         ("EFI_SUCCESS", True))
        self.assertEqual(self.path("flash.img").read_bytes(), bytes(firmware))

    def refused(self, message: str, name="s.cap"):
        before = self.path("vars.fd").read_bytes()
        self.fails("capsule", "apply", name, *self.options(), message=message)
        self.assertEqual(self.path("flash.img").read_bytes(), self.old)
        self.assertEqual(list(self.path("state").glob("*")), [])
        return before

    def test_what_is_refused_writes_nothing(self):
        self.capsule(b"x" * 10000)
        data = bytearray(self.path("s.cap").read_bytes())
        data[-1] ^= 1
        self.path("flipped.cap").write_bytes(data)
        self.refused("flipped.cap: EFI_SECURITY_VIOLATION: payload 0: .*", "flipped.cap")
        self.assertEqual(self.esrt()["last_attempt_status"], 5)
        self.refused("plain.cap: EFI_INVALID_PARAMETER: payload 0: FMP image authentication.*",
                     "plain.cap")
        self.capsule(b"x" * 70000)
        self.refused("s.cap: EFI_OUT_OF_RESOURCES: payload 0: .* there is room for 65536")
        self.capsule(b"x", version="0x10000")
        self.describe("lowest_supported_version = 0x10001\n")
        self.refused("s.cap: EFI_ABORTED: payload 0: version 0x10000 is below .*")
        self.refused("none.cap: .*", "none.cap")

    def test_wrong_descriptions_name_file_and_line(self):
        self.capsule(b"x")
        self.describe("speed = 3\n")
        self.refused(r".*loader\.toml:7: there is no key \"speed\" here, expected .*")
        self.fails("esrt", *self.options(), message=r".*loader\.toml:7: .*")

    def test_a_daemons_store_is_not_for_this(self):
        self.fails("esrt", *self.options(), store="unix:/nowhere",
                   message="unix:/nowhere: EFI_UNSUPPORTED: a daemon has the store.*")

    def test_wrong_usage(self):
        self.fails("capsule", "apply", code=USAGE, message=".*")
        self.fails("capsule", "apply", "/dev/null", *self.options(), code=FAILURE,
                   message="/dev/null: it is no regular file")


if __name__ == "__main__":
    script_test.main()
