# SPDX-License-Identifier: BSD-2-Clause-Patent
"""capsule inspect and create, beside what GenerateCapsule and mkeficapsule say and make; and bytes that
are no capsules."""

import hashlib
import json
import os
import random
import struct
import uuid

import script_test
from capsules import FILE_NAME_CAPSULE, TYPE_A, TYPE_B, CapsuleTest, header
from command import FAILURE, SUCCESS, USAGE

SEED = int(os.environ.get("EFISTORE_HOSTILE_SEED", "1"))
ROUNDS = int(os.environ.get("EFISTORE_HOSTILE_ROUNDS", "8"))


class InspectTest(CapsuleTest):
    def same_payload(self, wanted: dict, shown: dict):
        head = shown["header"]
        self.assertEqual(
            (wanted["offset"], wanted["ImageHeaderVersion"], wanted["UpdateImageTypeId"],
             wanted["UpdateImageIndex"], wanted["UpdateImageSize"], wanted["UpdateVendorCodeSize"],
             wanted["UpdateHardwareInstance"], wanted["ImageCapsuleSupport"]),
            (head["offset"], head["version"], head["type_id"], head["index"], head["image_size"],
             head["vendor_code_size"], head["hardware_instance"], head["support"]))
        self.assertEqual("auth" in wanted, shown["authentication"] is not None)
        if "auth" in wanted:
            seen, auth = shown["authentication"], wanted["auth"]
            self.assertEqual(
                (auth["MonotonicCount"], auth["dwLength"], int(auth["wRevision"], 0),
                 int(auth["wCertificateType"], 0), auth["CertType"], auth["p7_len"]),
                (seen["monotonic_count"], seen["length"], seen["revision"],
                 seen["certificate_type"], seen["cert_type"], seen["data"]["size"]))
            self.assertIn(seen["signer"], seen["certificates"])
        self.assertEqual(wanted.get("depex"), (shown["dependency"] or {}).get("data"))
        versions = wanted.get("fmp_payload_header")
        self.assertEqual(versions is None, shown["payload_header"] is None)
        if versions:
            seen = shown["payload_header"]
            self.assertEqual(
                (versions["HeaderSize"], int(versions["FwVersion"], 0),
                 int(versions["LowestSupportedVersion"], 0)),
                (seen["header_size"], seen["version"], seen["lowest_supported_version"]))
        self.assertEqual((wanted["payload_size"], wanted["payload_sha256"]),
                         (shown["firmware"]["size"], shown["firmware"]["sha256"]))

    def test_every_field_is_what_its_maker_says(self):
        kinds = set()
        for entry in self.manifest:
            if entry["file"] == "edk2/e38-empty.cap":
                continue
            with self.subTest(file=entry["file"]):
                shown = self.inspect(self.vector(entry["file"]))
                kinds.add(shown["kind"])
                head = shown["header"]
                self.assertEqual((entry["size"], entry["CapsuleGuid"], entry["HeaderSize"],
                                  int(entry["Flags"], 0), entry["CapsuleImageSize"]),
                                 (shown["size"], head["guid"], head["header_size"], head["flags"],
                                  head["image_size"]))
                if shown["kind"] == "accept":
                    self.assertEqual(shown["accepted"]["type_id"], entry["body"])
                if shown["kind"] != "fmp":
                    continue
                self.assertEqual(entry["ItemOffsetList"], shown["fmp"]["item_offsets"])
                self.assertEqual(entry["drivers"], [{"size": each["size"], "sha256": each["sha256"]}
                                                    for each in shown["drivers"]])
                self.assertEqual(len(entry["payloads"]), len(shown["payloads"]))
                for wanted, seen in zip(entry["payloads"], shown["payloads"]):
                    self.same_payload(wanted, seen)
        self.assertEqual(kinds, {"fmp", "accept", "revert"})

    def offsets(self, value):
        """Every offset of a JSON document, by the names of the fields."""
        if isinstance(value, list):
            for each in value:
                yield from self.offsets(each)
        elif isinstance(value, dict):
            yield from value.get("offsets", {}).items()
            for key, each in value.items():
                if key != "offsets":
                    yield from self.offsets(each)

    def test_offsets_are_where_the_bytes_are_and_the_text_has_all(self):
        path = self.vector("edk2/e34-multi-signed-depex.cap")
        shown, data = self.inspect(path), path.read_bytes()
        text = self.text("capsule", "inspect", path)
        self.assertIn(f"{path}: FMP capsule, {len(data)} bytes\n", text)
        offsets = list(self.offsets(shown))
        self.assertGreater(len(offsets), 40)
        for name, offset in offsets:
            self.assertIn(f"\n  {offset:#010x}  ", text, name)
        for payload in shown["payloads"]:
            for structure, key, size in (("header", "type_id", 16), ("header", "image_size", 4),
                                         ("header", "support", 8),
                                         ("authentication", "monotonic_count", 8),
                                         ("authentication", "length", 4),
                                         ("payload_header", "version", 4)):
                at = payload[structure]["offsets"][key]
                value = payload[structure][key]
                self.assertEqual(data[at:at + size], uuid.UUID(value).bytes_le
                                 if key == "type_id" else value.to_bytes(size, "little"))
            firmware = payload["firmware"]
            taken = data[firmware["offset"]:firmware["offset"] + firmware["size"]]
            self.assertEqual(hashlib.sha256(taken).hexdigest(), firmware["sha256"])
            self.assertIn(firmware["sha256"], text)
            self.assertIn(payload["authentication"]["signer"]["sha256"], text)
        self.assertEqual(shown["payloads"][1]["dependency"]["expression"], f"{TYPE_A} >= 0x10000")
        self.assertIn(f"expression              {TYPE_A} >= 0x10000\n", text)

    def test_certificates_are_those_that_openssl_sees(self):
        shown = self.inspect(self.vector("edk2/e10-signed-chain.cap"))
        seen = shown["payloads"][0]["authentication"]
        for certificate, name in ((seen["signer"], "leaf"), (seen["certificates"], "int")):
            known = script_test.run(
                [script_test.need_program("openssl"), "x509", "-in", self.vector(f"keys/{name}.crt"),
                 "-noout", "-fingerprint", "-sha256"]).stdout.decode()
            fingerprint = known.strip().split("=")[1].replace(":", "").lower()
            listed = certificate if isinstance(certificate, list) else [certificate]
            self.assertIn(fingerprint, [each["sha256"] for each in listed])

    def test_other_kinds(self):
        nested = self.inspect(self.vector("neg/n017.cap"))
        self.assertEqual((nested["kind"], nested["wrappers"][0]["guid"],
                          nested["wrappers"][0]["header_size"], nested["header"]["offset"]),
                         ("fmp", TYPE_A, 4096, 4096))
        picture = self.inspect(self.vector("neg/x01.cap"))
        self.assertEqual((picture["kind"], picture["display"]["width"],
                          picture["display"]["height"], picture["display"]["offsets"]["mode"]),
                         ("display", 16, 8, 32))
        document = self.inspect(self.vector("neg/x20.cap"))
        self.assertEqual((document["kind"], document["json"]["capsule_id"],
                          document["json"]["payload"]["size"]), ("json", 1, 7))
        self.path("names").write_bytes(header(FILE_NAME_CAPSULE, "a.cap\0\x1b[2J\0".encode("utf-16-le")))
        names = self.inspect("names")
        self.assertEqual(names["file_names"], [{"offset": 28, "name": "a.cap"},
                                               {"offset": 40, "name": "\x1b[2J"}])
        self.assertIn("\\u{1b}[2J\n", self.text("capsule", "inspect", "names"))
        self.path("unknown").write_bytes(header(TYPE_A, b"some bytes"))
        unknown = self.inspect("unknown")
        self.assertEqual((unknown["kind"], unknown["body"]),
                         ("unknown", {"offset": 28, "size": 10, "sha256":
                                      hashlib.sha256(b"some bytes").hexdigest()}))
        self.create("revert", "--revert")
        for name, words in (("revert", "revert capsule"), ("unknown", "unknown kind")):
            self.assertIn(words, self.text("capsule", "inspect", name))

    def test_malformed_ones_get_one_line_with_field_and_place(self):
        for name, message in (
                ("n001", r"capsule header at byte 0: it takes 28 bytes, and there are 27"),
                ("n005", r"capsule header: CapsuleImageSize at byte 24 is 0, expected .*"),
                ("n007", r"capsule header: HeaderSize at byte 16 is 0, expected 28 to .*"),
                ("n027", r"payload 0: FMP image header at byte \d+: it takes 4 bytes, .*"),
                ("x04", r"display capsule: ImageType at byte 30 is 1, expected 0.*")):
            path = self.vector(f"neg/{name}.cap")
            for words in ([], ["--json"]):
                self.fails("capsule", "inspect", path, *words, message=f"{path}: {message}")

    def test_an_image_that_cannot_be_taken_apart_is_shown_as_far_as_it_can(self):
        data = bytearray(self.vector("edk2/e10-signed-chain.cap").read_bytes())
        data[48 + 48 + 14] ^= 1  # wCertificateType; the header says that it is signed
        self.path("broken").write_bytes(data)
        message = "payload 0: FMP image authentication: wCertificateType at byte 110 is 0x0ef0.*"
        done = self.fails("capsule", "inspect", "broken", "--json", stdout=None,
                          message="broken: " + message)
        payload = json.loads(done.stdout)["payloads"][0]
        self.assertRegex("payload 0: " + payload["error"], message)
        self.assertEqual(payload["header"]["type_id"], TYPE_A)
        # What is no signature here is said, and is no fault of the capsule.
        seen = self.inspect(self.vector("neg/n081.cap"))["payloads"][0]["authentication"]
        self.assertIn("error", seen)

    def test_every_vector_is_answered(self):
        answered = {SUCCESS: 0, FAILURE: 0}
        for path in sorted((self.vectors / "neg").glob("*.cap")):
            with self.subTest(path=path.name):
                done = self.spawn("capsule", "inspect", path)
                answered[done.returncode] += 1
                self.assertTrue(done.stdout.decode().replace("\n", "").isprintable())
        self.assertGreater(min(answered.values()), 20, answered)


class CreateTest(CapsuleTest):
    def test_the_bytes_are_those_of_the_other_tools(self):
        made = 0
        for entry in self.manifest:
            if "payloads" not in entry or entry["file"] == "edk2/e38-empty.cap" or any(
                    "auth" in payload for payload in entry["payloads"]):
                continue
            with self.subTest(file=entry["file"]):
                self.assertEqual(self.create(f"{made}.cap", *self.arguments(entry)),
                                 self.vector(entry["file"]).read_bytes())
                made += 1
        self.assertGreaterEqual(made, 11)
        self.assertEqual(self.create("accept", "--accept", TYPE_A),
                         self.vector("uboot/u05-old-accept.cap").read_bytes())
        self.assertEqual(self.create("revert", "--revert"),
                         self.vector("uboot/u06-old-revert.cap").read_bytes())

    def test_what_was_asked_for_is_in_it(self):
        self.path("fw").write_bytes(b"firmware")
        self.path("code").write_bytes(b"vendor")
        self.create("c", "--payload", "fw", "--no-header", "--type", TYPE_B, "--payload", "fw",
                    "--type", TYPE_A, "--version", "4294967295", "--lowest-supported", "0X10",
                    "--index", "255", "--instance", "0xffffffffffffffff", "--vendor-code", "code",
                    "--depends", f"{TYPE_B} > 10 || TRUE", "--flag", "persist,reset", "--flag",
                    "0x8001", "--header-size", "64")
        shown = self.inspect("c")
        self.assertEqual((shown["header"]["flag_names"], shown["header"]["header_size"]),
                         ("persist,reset,0x8001", 64))
        first, second = shown["payloads"]
        self.assertEqual((first["payload_header"], first["header"]["index"],
                          first["header"]["support"], first["vendor_code"]), (None, 1, 0, None))
        self.assertEqual((second["header"]["index"], second["header"]["hardware_instance"],
                          second["header"]["support"], second["payload_header"]["version"],
                          second["payload_header"]["lowest_supported_version"],
                          second["vendor_code"]["sha256"]),
                         (255, (1 << 64) - 1, 2, (1 << 32) - 1, 16,
                          hashlib.sha256(b"vendor").hexdigest()))
        self.assertEqual(second["dependency"]["expression"], f"{TYPE_B} > 0x10 || TRUE")

    def test_wrong_arguments(self):
        self.path("fw").write_bytes(b"firmware")
        self.path("empty").write_bytes(b"")
        versions = ["--version", "1", "--lowest-supported", "1"]
        payload = ["--payload", "fw", "--type", TYPE_A]
        for words, message in (
                ([], "either --payload and --driver, or --accept, or --revert .*"),
                (["--revert", "--accept", TYPE_A], "either .*"),
                ([*payload, *versions, "--revert"], "either .*"),
                (["--type", TYPE_A, "--payload", "fw"], "--type stands behind the --payload .*"),
                (["--no-header", "--payload", "fw"], "--no-header stands behind .*"),
                (["--payload", "fw", *versions], "the payload fw needs --type"),
                (payload, "the payload fw needs --version, or --no-header"),
                ([*payload, "--version", "1"], "the payload fw needs --lowest-supported, .*"),
                ([*payload, *versions, "--type", TYPE_B], "--type is there twice for .* fw"),
                ([*payload, *versions, "--no-header"], "--version stands in an FMP payload .*"),
                ([*payload, "--no-header", "--depends", "TRUE"], "--depends stands in .*"),
                ([*payload, *versions, "--depends", "TRUE &&"], "--depends: .*column.*"),
                ([*payload, *versions, "--index", "256"], '--index: "256" is no number .* 255'),
                ([*payload, "--version", "-1", "--lowest-supported", "1"], '--version: "-1" is .*'),
                ([*payload, "--version", "0x100000000", "--lowest-supported", "1"], "--version: .*"),
                ([*payload, "--version", "1K", "--lowest-supported", "1"], "--version: .*"),
                (["--payload", "fw", "--type", "A", *versions], '--type: "A" is no GUID'),
                (["--accept", "A"], '--accept: "A" is no GUID'),
                (["--revert", "--flag", "persist,"], '--flag: "persist,?" is not persist, .*'),
                (["--revert", "--flag", "0x100000000"], "--flag: .*"),
                (["--revert", "--flag", "reset"], "--flag: .*PERSIST_ACROSS_RESET.*"),
                ([*payload, *versions, "--flag", "persist,populate"], "--flag: .*POPULATE.*"),
                (["--revert", "--header-size", "27"], ".* takes 28 bytes, not 27"),
                (["--revert", "--header-size", "65537"], '--header-size: "65537" is no number .*'),
                (["--driver", "empty"], "driver 0 has no bytes")):
            self.fails("capsule", "create", "-o", "c", *words, code=USAGE, message=message)
        self.fails("capsule", "create", "--revert", code=USAGE, message=".*--output.*")
        for words, message in (
                (["--payload", "none", "--type", TYPE_A, "--no-header"], "none: No such file .*"),
                (["--payload", "empty", "--type", TYPE_A, "--no-header"],
                 "empty: there is no firmware"),
                ([*payload, *versions, "--vendor-code", "none"], "none: No such file .*"),
                (["--driver", "none"], "none: No such file .*")):
            self.fails("capsule", "create", "-o", "c", *words, message=message)
        self.assertFalse(self.path("c").exists())

    def test_what_is_there_is_left_alone(self):
        self.path("c").write_bytes(b"mine")
        self.path("link").symlink_to("nowhere")
        with self.keeps("c"):
            for name in ("c", "link"):
                self.fails("capsule", "create", "--revert", "-o", name,
                           message=f"{name}: File exists")
        before = sorted(os.listdir(self.folder))
        self.create("c", "--revert", "--force")
        self.assertEqual(before, sorted(os.listdir(self.folder)))
        self.fails("capsule", "create", "--revert", "-o", "none/c", message="none/c: No such .*")


class HostileTest(CapsuleTest):
    def commands(self, path):
        key, certificate = self.key("selfsigned")
        return (["capsule", "inspect", path], ["capsule", "inspect", path, "--json"],
                ["capsule", "verify", path, "--trusted", certificate],
                ["capsule", "sign", path, "-o", "out", "--force", "--key", key, "--cert",
                 certificate])

    def test_files_that_are_none(self):
        self.path("loop").symlink_to("loop")
        self.path("empty").write_bytes(b"")
        with self.path("large").open("wb") as file:
            file.truncate((256 << 20) + 1)
        for path, message in (("none", "No such file .*"), ("loop", "Too many levels of .*"),
                              (".", "Is a directory"), ("empty", "capsule header at byte 0: .*")):
            for words in self.commands(path):
                self.fails(*words, message=f"{path}: {message}")
        self.fails("capsule", "inspect", "large",
                   message="large: more than the 268435456 bytes that are taken")
        self.fails("capsule", "inspect", "", code=USAGE, message=".*must not be empty")
        self.assertFalse(self.path("out").exists())

    def test_standard_input(self):
        data = self.vector("edk2/e01-unsigned.cap").read_bytes()
        done = self.run_it("capsule", "inspect", "-", "--json", stdin=data)
        self.assertEqual(json.loads(done)["file"], "standard input")
        self.fails("capsule", "inspect", "-", stdin=data[:-1], message="standard input: .*")

    def test_mutated_capsules(self):
        chance = random.Random(SEED)
        for name in ("edk2/e34-multi-signed-depex.cap", "edk2/e36-2drivers-signed.cap",
                     "uboot/u18-new-signed-ec.cap", "neg/n017.cap", "neg/x01.cap"):
            good = self.vector(name).read_bytes()
            for number in range(ROUNDS):
                data = bytearray(good)
                for _ in range(chance.randrange(1, 6)):
                    at = chance.randrange(min(len(data), 4200))
                    data[at] = chance.choice((0, 1, 0x7f, 0x80, 0xff, chance.randrange(256)))
                if number % 4 == 0:
                    del data[chance.randrange(len(data)):]
                    data[24:28] = struct.pack("<I", len(data))
                self.path("bad").write_bytes(data)
                for words in self.commands("bad"):
                    with self.subTest(name=name, round=number, seed=SEED, words=words[1]):
                        done = self.spawn(*words)
                        self.assertTrue(done.stdout.decode().replace("\n", "").isprintable())
                        if words[1] == "sign" and done.returncode == SUCCESS:
                            self.run_it("capsule", "inspect", "out", "--json")


if __name__ == "__main__":
    script_test.main()
