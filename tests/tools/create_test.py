# SPDX-License-Identifier: BSD-2-Clause-Patent
"""efistore create."""

import os

import command
import script_test
from command import OWN_GUID, USAGE

KIB = 1024


class CreateTest(command.CommandTest):
    def test_makes_ovmfs_blank_images_byte_for_byte(self):
        for layout, image in (("ovmf-4m", "OVMF_VARS_4M.fd"), ("ovmf-2m", "OVMF_VARS.fd")):
            expected = script_test.need_file(f"/usr/share/OVMF/{image}").read_bytes()
            self.run_it("create", "--layout", layout, store=layout)
            self.assertEqual(self.path(layout).read_bytes(), expected)

    def test_the_default_is_ovmf_4m(self):
        self.assertEqual(self.text("create"),
                         "vars.fd: ovmf-4m, auth format, 528 KiB in blocks of 4 KiB\n")
        self.run_it("create", "--layout", "ovmf-4m", store="named.fd")
        self.assertEqual(self.path("vars.fd").read_bytes(), self.path("named.fd").read_bytes())

    def test_json(self):
        self.assertEqual(self.json("create", "--layout", "aavmf"),
                         {"store": "vars.fd", "layout": "aavmf", "format": "auth",
                          "volume_size": 768 * KIB, "block_size": 256 * KIB})

    def test_a_size_picks_the_layout_that_has_it(self):
        for size, layout in (("528K", "ovmf-4m"), ("0x20000", "ovmf-2m"), ("1M", "custom"),
                             ("65536", "custom")):
            self.assertEqual(self.json("create", "--size", size, store=size)["layout"], layout)
        self.assertEqual(self.path("1M").stat().st_size, 1024 * KIB)

    def test_custom_layouts(self):
        made = self.json("create", "--layout", "custom", "--size", "1M", "--block-size", "64K")
        self.assertEqual((made["volume_size"], made["block_size"]), (1024 * KIB, 64 * KIB))
        self.run_it("set", "A-" + OWN_GUID, "--text", "x")
        self.assertEqual(self.names(), ["A-" + OWN_GUID])
        self.run_it("check")

    def test_the_smallest_store_holds_a_variable(self):
        self.run_it("create", "--size", "12K")
        self.run_it("set", "A-" + OWN_GUID, "--text", "x" * 100)
        self.assertEqual(self.names(), ["A-" + OWN_GUID])

    def test_a_named_layout_may_stand_in_a_larger_file(self):
        self.run_it("create", "--layout", "aavmf", "--size", "64M")
        self.assertEqual(self.path("vars.fd").stat().st_size, 64 * 1024 * KIB)
        with self.path("vars.fd").open("rb") as file:
            file.seek(768 * KIB)
            self.assertEqual(file.read(4096), b"\xff" * 4096)
        self.assertEqual(self.json("info")["volume_size"], 768 * KIB)

    def test_the_normal_format(self):
        self.assertEqual(self.json("create", "--format", "normal")["format"], "normal")
        self.run_it("set", "A-" + OWN_GUID, "--text", "x")
        self.assertEqual(self.json("info")["format"], "normal")

    def test_blank_files_are_formatted_in_place(self):
        for fill in (b"\xff", b"\0"):
            self.path("vars.fd").write_bytes(fill * 0x84000)
            inode = self.path("vars.fd").stat().st_ino
            self.assertEqual(self.json("create")["layout"], "ovmf-4m")
            self.assertEqual(self.path("vars.fd").stat().st_ino, inode)
            self.assertEqual(self.json("info")["health"], "clean")

    def test_an_existing_file_is_taken_whole(self):
        self.path("vars.fd").write_bytes(b"\xff" * 0x40000)
        self.assertEqual(self.json("create"),
                         {"store": "vars.fd", "layout": "custom", "format": "auth",
                          "volume_size": 0x40000, "block_size": 4096})

    def test_a_size_may_be_all_that_there_is(self):
        self.path("vars.fd").write_bytes(b"\xff" * 0x40000)
        self.assertEqual(self.json("create", "--size", "256K")["volume_size"], 0x40000)

    def test_what_lies_behind_the_volume_is_left_alone(self):
        tail = b"firmware" * 512
        self.path("vars.fd").write_bytes(b"\xff" * 0x84000 + tail)
        self.run_it("create", "--layout", "ovmf-4m")
        self.assertEqual(self.path("vars.fd").read_bytes()[0x84000:], tail)

    def test_a_store_is_overwritten_by_force_only(self):
        self.run_it("create")
        self.run_it("set", "A-" + OWN_GUID, "--text", "x")
        with self.keeps("vars.fd"):
            self.fails("create", message=r"vars\.fd: holds a variable store; --force overwrites "
                       "the first 528 KiB of it")
        self.run_it("create", "--force")
        self.assertEqual(self.names(), [])

    def test_anything_else_is_overwritten_by_force_only(self):
        for content in (b"\xff" * 0x83fff + b"\xfe", b"\0" * 0x83fff + b"\xff",
                        b"text" * 0x21000):
            self.path("vars.fd").write_bytes(content)
            with self.keeps("vars.fd"):
                self.fails("create", message=r"vars\.fd: is not blank; --force .*")
        self.run_it("create", "--force")
        self.assertEqual(self.json("info")["health"], "clean")

    def test_wrong_usage(self):
        for words, message in (
                (["--layout", "custom"], "--layout custom: a new file needs --size"),
                (["--block-size", "64K"], ".*needs --size"),
                (["--size", "1G"], '--size: "1G" is no size: .*'),
                (["--size", "-1"], '--size: "-1" is no size: .*'),
                (["--size", "1M", "--block-size", "x"], '--block-size: "x" is no size: .*'),
                (["--layout", "ovmf-4m", "--size", "64K"], "--size: layout ovmf-4m needs 528 KiB"),
                (["--layout", "aavmf", "--block-size", "4K"], ".*blocks of 256 KiB"),
                (["--layout", "ovmf"], ".*--layout.*"),
                (["--format", "json"], ".*--format.*")):
            self.fails("create", *words, code=USAGE, message=message)
            self.assertFalse(self.path("vars.fd").exists(), words)

    def test_a_layout_that_does_not_fit_leaves_nothing_behind(self):
        for words, message in ((["--size", "8K"], "size 0x2000: .*"),
                               (["--size", "65M"], "size 0x4100000: .*"),
                               (["--size", "13000"], "size 0x32c8: .*"),
                               (["--size", "1M", "--block-size", "3K"], "block size 0xc00: .*"),
                               (["--size", "1M", "--block-size", "8192M"], ".*8192 MiB"),
                               (["--layout", "ovmf-4m", "--size", "540673"], ".*0x84001.*")):
            self.fails("create", *words, message=message)
            self.assertEqual(os.listdir(self.folder), [], words)

    def test_a_medium_that_is_too_small(self):
        self.path("vars.fd").write_bytes(b"\xff" * 0x20000)
        with self.keeps("vars.fd"):
            self.fails("create", "--layout", "ovmf-4m", message=r"vars\.fd has 0x20000 bytes, .*")
            self.fails("create", "--size", "256K", message="--size: there are only 128 KiB")

    def test_what_names_no_file_is_never_made_one(self):
        for store in ("mtd:no-such-partition", "unix:no-such-socket", "/dev/no-such-efistore"):
            self.fails("create", store=store, message=".*no-such-.*")
            self.assertEqual(os.listdir(self.folder), [])
            self.assertFalse(os.path.exists(store))

    def test_a_link_that_leads_nowhere(self):
        self.path("vars.fd").symlink_to("elsewhere/none.fd")
        self.fails("create", message="vars.fd is a symbolic link to elsewhere/none.fd, "
                                     "where nothing is")
        self.assertEqual(os.listdir(self.folder), ["vars.fd"])
        self.path("vars.fd").unlink()
        self.path("vars.fd").symlink_to("vars.fd")
        self.fails("create", message="vars.fd: Too many levels of symbolic links")

    def test_a_folder_that_is_not_there(self):
        self.fails("create", store="none/vars.fd",
                   message="create none/vars.fd: No such file or directory")


if __name__ == "__main__":
    script_test.main()
