# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What the tests of the capsule commands share: the vectors, and the command on them."""

import hashlib
import json
import struct
import subprocess
import uuid

import command
import script_test

TYPE_A = "6f5f2bd5-3e5b-4b0c-9c5d-2c9a4e4c1a01"
TYPE_B = "9d1b6c3a-02f4-4f0e-8a9f-5b1f6d7e2b02"
FILE_NAME_CAPSULE = "98c80a4f-e16b-4d11-939a-abe561260330"


def header(guid: str, body: bytes, flags=0x10000) -> bytes:
    return uuid.UUID(guid).bytes_le + struct.pack("<III", 28, flags, 28 + len(body)) + body


class CapsuleTest(command.CommandTest):
    def setUp(self):
        super().setUp()
        self.vectors = script_test.need_shared("vectors/capsule/manifest.json").parent
        self.manifest = json.loads((self.vectors / "manifest.json").read_text())

    def vector(self, name: str):
        return script_test.need_file(self.vectors / name)

    def key(self, name: str):
        return self.vector(f"keys/{name}.key"), self.vector(f"keys/{name}.crt")

    def inspect(self, path) -> dict:
        return self.json("capsule", "inspect", path)

    def create(self, name: str, *words, **options) -> bytes:
        self.assertEqual(self.run_it("capsule", "create", "-o", name, *words, **options), b"")
        return self.path(name).read_bytes()

    def simple(self, name="a.cap", *words) -> bytes:
        return self.create(name, "--payload", self.vector("payloads/fwA.bin"), "--type", TYPE_A,
                           "--version", "0x20001", "--lowest-supported", "65536", *words)

    def sign(self, name: str, to: str, *words, key="leaf"):
        private, certificate = self.key(key)
        self.assertEqual(self.run_it("capsule", "sign", name, "-o", to, "--key", private,
                                     "--cert", certificate, *words), b"")

    def openssl(self, name: str, anchor: str, *options, payload=0, program="cms"):
        """openssl(1)'s verdict on a payload's signature, from what inspect says where it is."""
        shown = self.inspect(name)["payloads"][payload]
        data = self.path(name).read_bytes()
        der = shown["authentication"]["data"]
        end = der["offset"] + der["size"]
        image = shown["image"]
        self.path("p7").write_bytes(data[der["offset"]:end])
        self.path("content").write_bytes(
            data[end:image["offset"] + image["size"]] +
            struct.pack("<Q", shown["authentication"]["monotonic_count"]))
        return subprocess.run(
            [script_test.need_program("openssl"), program, "-verify", "-binary", "-inform", "DER",
             "-in", "p7", "-content", "content", "-CAfile", self.vector(f"keys/{anchor}.crt"),
             "-out", "/dev/null", *options], cwd=self.folder, capture_output=True, timeout=60)

    def arguments(self, entry: dict) -> list:
        """What `create` is asked for, for a capsule of the manifest."""
        words = ["--flag", entry["Flags"], "--header-size", entry["HeaderSize"]]
        drivers = {hashlib.sha256(path.read_bytes()).hexdigest(): path
                   for path in (self.vectors / "payloads").glob("*.efi")}
        for driver in entry["drivers"]:
            words += ["--driver", drivers[driver["sha256"]]]
        shown = self.inspect(self.vector(entry["file"]))
        for payload, seen in zip(entry["payloads"], shown["payloads"]):
            words += ["--payload", self.vector(payload["payload_is"]), "--type",
                      payload["UpdateImageTypeId"], "--index", payload["UpdateImageIndex"],
                      "--instance", payload["UpdateHardwareInstance"]]
            versions = payload.get("fmp_payload_header")
            if versions:
                words += ["--version", versions["FwVersion"], "--lowest-supported",
                          versions["LowestSupportedVersion"]]
            else:
                words += ["--no-header"]
            if "depex" in payload:
                words += ["--depends", seen["dependency"]["expression"]]
        return words
