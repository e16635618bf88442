# SPDX-License-Identifier: BSD-2-Clause-Patent
"""efistore info, check, map and reclaim."""

import struct
import uuid
import xml.etree.ElementTree

import command
import script_test
from command import OWN_GUID

FIRST_RECORD = 0x64
OWN_GUID_BYTES = uuid.UUID(OWN_GUID).bytes_le


def own(name: str) -> str:
    return f"{name}-{OWN_GUID}"


class ExamineTest(command.CommandTest):
    def setUp(self):
        super().setUp()
        self.run_it("create")

    def fill(self):
        """Three live variables, and four dead records."""
        for name in ("A", "B", "C"):
            self.run_it("set", own(name), "--text", "x" * 500)
        for text in ("one", "two", "three"):
            self.run_it("set", own("A"), "--text", text)
        self.run_it("set", own("D"), "--text", "gone")
        self.run_it("delete", own("D"))

    def damage(self):
        """Breaks the chain at the second record, a live one, with live ones behind."""
        self.fill()
        image = bytearray(self.path("vars.fd").read_bytes())
        # Headers are 60 bytes; the first record has a name of 4 bytes and 500 of data.
        second = FIRST_RECORD + 60 + 4 + 500
        self.assertEqual(image[second:second + 2], b"\xaa\x55")
        image[second:second + 2] = b"\0\0"
        self.path("vars.fd").write_bytes(image)

    def interrupt_a_foreign_write(self):
        """Leaves the store as firmware does whose fault-tolerant write was cut while it copied, of
        something else than the variables."""
        image = bytearray(self.path("vars.fd").read_bytes())
        queue = 0x41000 + 32
        image[queue] = 0xfe  # allocated, not complete
        image[queue + 24:queue + 40] = struct.pack("<QQ", 1, 0)  # one record, no private data
        image[queue + 40] = 0xfd  # the copy in the spare area is complete
        self.path("vars.fd").write_bytes(image)

    def overfill(self):
        """Puts more variables into a store than one may hold."""
        self.path("vars.fd").unlink()
        self.run_it("create", "--size", "8M")
        records = bytearray()
        for number in range(16385):
            name = f"{number:05}\0".encode("utf-16-le")
            records += struct.pack("<HBBIQ16sIII", 0x55aa, 0x3f, 0, 7, 0, bytes(16), 0, len(name), 0)
            records += OWN_GUID_BYTES + name
        image = bytearray(self.path("vars.fd").read_bytes())
        image[FIRST_RECORD:FIRST_RECORD + len(records)] = records
        self.path("vars.fd").write_bytes(image)

    # info

    def test_info_as_json_has_its_keys(self):
        self.fill()
        info = self.json("info")
        self.assertEqual(
            {key: info[key] for key in ("store", "device", "device_size", "erase_block_size",
                                        "layout", "format", "volume_size", "block_size", "health",
                                        "ftw", "variables", "dead_records", "erase_counts")},
            {"store": "vars.fd", "device": "vars.fd", "device_size": 0x84000,
             "erase_block_size": 4096, "layout": "ovmf-4m", "format": "auth",
             "volume_size": 0x84000, "block_size": 4096, "health": "clean", "ftw": "idle",
             "variables": 3, "dead_records": 4, "erase_counts": None})
        self.assertEqual(info["findings"], {"note": 0, "warning": 0, "damage": 0})
        self.assertEqual(info["areas"], {"variables": {"offset": 0, "size": 0x40000},
                                         "event_log": {"offset": 0x40000, "size": 0x1000},
                                         "ftw_working": {"offset": 0x41000, "size": 0x1000},
                                         "ftw_spare": {"offset": 0x42000, "size": 0x42000}})
        space = info["space"]
        self.assertEqual(space["live"] + space["reclaimable"] + space["free"], space["capacity"])
        self.assertGreater(space["reclaimable"], 500)
        self.assertEqual(info["limits"],
                         {"maximum_storage_size": space["capacity"],
                          "remaining_storage_size": space["capacity"] - space["live"],
                          "maximum_variable_size": 0x8400 - 60})

    def test_info_as_text(self):
        self.fill()
        text = self.text("info")
        for line in (r"store +vars\.fd", "layout +ovmf-4m, 528 KiB in blocks of 4 KiB",
                     r"variables +3 \(dead records: 4\)", r"  live +1200 bytes \(0\.5 %\)", r"  reclaimable +768 bytes \(0\.3 %\)",
                     r"  free +\d+ bytes \(99\.\d %\)",
                     "ftw state +idle", "erase counts +not known.*", "health +clean .*"):
            self.assertRegex(text, rf"(?m)^{line}$")

    def test_erases_are_counted_where_there_is_a_file_for_it(self):
        self.fill()
        self.path("vars.fd.wear").write_bytes(b"")
        self.assertEqual(set(self.json("info")["erase_counts"]), {0})
        self.run_it("reclaim")
        counts = self.json("info")["erase_counts"]
        self.assertEqual((len(counts), counts[0], counts[0x42], sum(counts)), (132, 1, 1, 2))
        self.assertEqual(self.json("map")["erase_counts"], counts)
        self.assertRegex(self.text("info"),
                         r"(?m)^erase counts +2 of 132 blocks, at most 1 \(block 0\)$")
        self.assertRegex(self.text("map"), r"(?m)^ +0    1 to 65\n +1    66\n +0    67 to 131$")
        self.run_it("map", "--svg", "map.svg")
        self.assertIn("<title>block 66: erased 1 time</title>", self.path("map.svg").read_text())
        self.path("vars.fd.wear").write_text("no counts\n")
        self.run_it("set", own("B"), "--text", "x")
        self.assertRegex(self.text("info"), r"(?m)^erase counts +not known: .*line 1 should be.*$")
        self.assertIsNone(self.json("info")["erase_counts"])

    def test_info_of_a_damaged_store(self):
        self.damage()
        info = self.json("info")
        self.assertEqual(info["health"], "damaged")
        self.assertEqual(info["findings"]["damage"], 1)
        self.assertRegex(self.text("info"),
                         r"(?m)^health +damaged \(notes \d+, warnings 0, damage 1\)$")

    # check

    def test_check_of_a_clean_store(self):
        self.fill()
        with self.keeps("vars.fd"):
            self.assertEqual(self.text("check"),
                             "vars.fd: ovmf-4m, auth format, 528 KiB: clean, variables: 3\n")
            self.assertEqual(self.json("check"),
                             {"store": "vars.fd", "layout": "ovmf-4m", "format": "auth",
                              "damaged": False, "health": "clean", "findings": [], "variables": 3})

    def test_check_takes_notes_for_success(self):
        self.fill()
        image = bytearray(self.path("vars.fd").read_bytes())
        image[50] ^= 1  # the volume header's checksum, at which EDK2 does not look
        self.path("vars.fd").write_bytes(image)
        self.assertRegex(self.text("check"),
                         r"\Awarning  0x0000032\+0x2  .*checksum.*\n.*: warnings \(notes 0, "
                         r"warnings 1, damage 0\), variables: 3\n\Z")
        checked = self.json("check")
        self.assertEqual((checked["damaged"], checked["health"]), (False, "warnings"))
        self.assertEqual({**checked["findings"][0], "what": ""},
                         {"severity": "warning", "offset": 50, "size": 2, "what": ""})

    def test_check_reports_damage(self):
        self.damage()
        with self.keeps("vars.fd"):
            done = self.fails("check", message=r"vars\.fd is damaged \(.*lose 3 live.*\)",
                              stdout=None)
            self.assertRegex(done.stdout, rb"(?m)^damage   0x\d+\+0x[0-9a-f]+  .*chain.*broken")
            done = self.fails("check", "--json", message=r"vars\.fd is damaged .*", stdout=None)
        checked = command.json.loads(done.stdout)
        self.assertTrue(checked["damaged"])
        self.assertEqual(checked["findings"][0]["severity"], "damage")

    def test_check_has_the_worst_first(self):
        self.damage()
        image = bytearray(self.path("vars.fd").read_bytes())
        image[50] ^= 1  # a warning, found before the damage
        self.path("vars.fd").write_bytes(image)
        done = self.fails("check", message=r"vars\.fd is damaged \(.*lose 3 live.*\)", stdout=None)
        self.assertRegex(done.stdout.decode(), r"\A(damage .*\n)+(warning .*\n)+(note .*\n)*vars")
        done = self.fails("check", "--json", message=".*", stdout=None)
        severities = [each["severity"] for each in command.json.loads(done.stdout)["findings"]]
        self.assertEqual(severities[:2], ["damage", "warning"])

    def test_a_damaged_store_is_readable_and_not_writable(self):
        self.damage()
        with self.keeps("vars.fd"):
            listed = self.text("list", warnings=r"\Aefistore: warning: vars\.fd is damaged.*\n\Z")
            self.assertTrue(listed)
            for words, subject in ((["set", own("N"), "--text", "x"], own("N")),
                                   (["reclaim"], r"vars\.fd")):
                self.fails(*words, message=rf"{subject}: EFI_VOLUME_CORRUPTED.*")
            self.fails("import", "--format", "json", "-", stdin=b'{"efistore":1,"variables":'
                       b'[{"name":"N","guid":"' + OWN_GUID.encode() +
                       b'","attributes":7,"data":"00"}]}', message=r"vars\.fd.* damaged.*")

    def test_a_write_that_only_firmware_can_finish_leaves_a_store_to_read(self):
        self.fill()
        self.interrupt_a_foreign_write()
        with self.keeps("vars.fd"):
            self.assertTrue(self.text("list"))
            self.fails("set", own("N"), "--text", "x",
                       message=rf"{own('N')}: EFI_WRITE_PROTECTED.* firmware was interrupted .*")
            checked = self.json("check")
            self.assertEqual((checked["damaged"], checked["health"]), (False, "warnings"))
            self.assertEqual(self.json("info")["ftw"], "foreign")

    def test_a_store_that_does_not_open_is_shown_with_the_reason(self):
        self.overfill()
        reason = r"vars\.fd holds more than 16384 variables.*"
        with self.keeps("vars.fd"):
            self.fails("list", message=reason)
            done = self.fails("check", message=reason, stdout=None)
            self.assertRegex(done.stdout.decode(), r"(?m)^vars\.fd: custom, .*(?<!variables: 3)$")
            done = self.fails("check", "--json", message=reason, stdout=None)
            checked = command.json.loads(done.stdout)
            self.assertEqual((checked["damaged"], checked["health"], "variables" in checked),
                             (True, "damaged", False))
            self.assertRegex(checked["open_error"], reason)
            info = self.json("info")
            self.assertRegex(info["open_error"], reason)
            self.assertEqual((info["ftw"], "variables" in info), ("idle", False))
            self.assertRegex(self.text("info"), rf"(?m)^variables +not known: {reason}$")

    # map

    def test_map_covers_every_byte_once(self):
        self.fill()
        mapped = self.json("map")
        self.assertEqual((mapped["store"], mapped["layout"], mapped["volume_size"]),
                         ("vars.fd", "ovmf-4m", 0x84000))
        end = 0
        for region in mapped["regions"]:
            self.assertEqual(region["offset"], end)
            end += region["size"]
        self.assertEqual(end, 0x84000)
        kinds = [region["kind"] for region in mapped["regions"]]
        self.assertEqual((kinds.count("live-record"), kinds.count("dead-record")), (3, 4))
        labels = [region.get("label") for region in mapped["regions"]
                  if region["kind"] == "live-record"]
        self.assertEqual(sorted(labels), [own("A"), own("B"), own("C")])

    def test_map_as_text(self):
        self.fill()
        text = self.text("map")
        bars = [line for line in text.splitlines() if line.endswith("]")]
        self.assertEqual([len(bar) for bar in bars], [76, 76])
        # 256 of 528 KiB are variables: 31 of 64 columns, the spare the second half.
        self.assertRegex(bars[0], r"\Avolume    \[[#x]\.{30}[.e]s{32}\]\Z|"
                         r"\Avolume    \[[#x]\.{30}[ew]s{32}\]\Z")
        self.assertRegex(bars[1], r"\Avariables \[[#x]{1,2}\.{62,63}\]\Z")
        for line in (r"H  volume-header +72 bytes +0\.01 %      1 region",
                     r"#  live-record +1200 bytes +0\.22 %      3 regions",
                     r"x  dead-record +768 bytes +0\.14 %      4 regions"):
            self.assertRegex(text, rf"(?m)^{line}$")
        self.assertRegex(text, rf"(?m)^0x00000064 +\d+  dead-record  {own('A')}$")

    def test_map_as_a_picture(self):
        self.fill()
        self.assertEqual(self.run_it("map", "--svg", "map.svg"), b"")
        root = xml.etree.ElementTree.parse(self.path("map.svg")).getroot()
        space = "{http://www.w3.org/2000/svg}"
        self.assertEqual(root.tag, space + "svg")
        titles = [title.text for title in root.iter(space + "title")]
        self.assertTrue(any(own("B") in title for title in titles))
        width, height = float(root.get("width")), float(root.get("height"))
        for rectangle in root.iter(space + "rect"):
            if rectangle.get("x") is None:
                continue
            self.assertGreaterEqual(float(rectangle.get("x")), 0)
            self.assertLessEqual(float(rectangle.get("x")) + float(rectangle.get("width")), width)
            self.assertLessEqual(float(rectangle.get("y")) + float(rectangle.get("height")), height)
        self.assertIn("regions", self.json("map", "--svg", "map.svg"))
        self.fails("map", "--svg", "none/map.svg", message="none/map.svg: No such file.*")

    # reclaim

    def test_reclaim_makes_dead_space_free(self):
        self.fill()
        before = self.json("info")
        contents = self.contents()
        self.assertEqual(self.json("reclaim"),
                         {"store": "vars.fd", "reclaimed": before["space"]["reclaimable"],
                          "free": before["space"]["free"] + before["space"]["reclaimable"]})
        after = self.json("info")
        self.assertEqual((after["space"]["reclaimable"], after["dead_records"]), (0, 0))
        self.assertEqual(self.contents(), contents)
        self.assertRegex(self.text("reclaim"), r"\Avars\.fd: 0 bytes reclaimed, \d+ are free\n\Z")


if __name__ == "__main__":
    script_test.main()
