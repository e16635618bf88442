# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Bytes that nobody would write, by seed: no command crashes, hangs, or says more than its line.

CommandTest.spawn() holds every run to that. EFISTORE_HOSTILE_SEED and EFISTORE_HOSTILE_ROUNDS
choose other bytes, and more of them.
"""

import json
import os
import random

import command
import script_test
from command import FAILURE, OWN_GUID, SUCCESS

SEED = int(os.environ.get("EFISTORE_HOSTILE_SEED", "1"))
ROUNDS = int(os.environ.get("EFISTORE_HOSTILE_ROUNDS", "8"))
READING = (["list", "-l", "--all"], ["list", "--all", "--long", "--json"], ["info"],
           ["check", "--json"], ["map"], ["export", "--format", "ubootefi"])
WRITING = (["set", f"New-{OWN_GUID}", "--text", "x"], ["reclaim"],
           ["import", "--format", "json", "-"])
USED = 0x2000  # where headers and most records of the images below lie


class HostileTest(command.CommandTest):
    def setUp(self):
        super().setUp()
        self.random = random.Random(SEED)
        self.run_it("create", store="base.fd")
        option = bytes.fromhex("010000001000410000000404" "0c005c0041004200" "0000" "7fff0400")
        self.run_it("set", "Boot0001", "-f", "-", stdin=option, store="base.fd")
        for number in range(8):
            self.run_it("set", f"V{number}-{OWN_GUID}", "-f", "-",
                        stdin=self.random.randbytes(1 + self.random.randrange(400)), store="base.fd")
        self.run_it("delete", f"V3-{OWN_GUID}", store="base.fd")
        self.base = self.path("base.fd").read_bytes()

    def mutated(self) -> bytes:
        image = bytearray(self.base)
        choice = self.random.randrange(5)
        if choice == 0:  # bits of headers and records
            for _ in range(self.random.randrange(1, 30)):
                image[self.random.randrange(USED)] ^= 1 << self.random.randrange(8)
        elif choice == 1:  # fields at their extremes
            for _ in range(self.random.randrange(1, 8)):
                at = self.random.randrange(0, USED, 4)
                image[at:at + 4] = self.random.choice(
                    (b"\0" * 4, b"\xff" * 4, b"\xff\xff\xff\x7f", b"\1\0\0\0", b"\xaa\x55\x3f\0"))
        elif choice == 2:  # a stretch of noise
            at = self.random.randrange(USED)
            noise = self.random.randbytes(self.random.randrange(1, 2000))
            image[at:at + len(noise)] = noise
        elif choice == 3:  # a stretch of records that begin everywhere
            at = self.random.randrange(0x64, USED, 4)
            image[at:at + 4000] = b"\xaa\x55\x3f\0" * 1000
        else:  # the queue of fault-tolerant writes
            for _ in range(20):
                image[0x41000 + self.random.randrange(200)] = self.random.randrange(256)
        return bytes(image)

    def survives(self, image: bytes):
        self.path("vars.fd").write_bytes(image)
        with self.keeps("vars.fd"):
            for words in READING:
                done = self.spawn("--store", "vars.fd", *words)
                if "ubootefi" not in words:
                    self.assertTrue(done.stdout.decode().replace("\n", "").isprintable(), words)
        document = command.json.dumps({"efistore": 1, "variables": [
            {"name": "I", "guid": OWN_GUID, "attributes": 7, "data": "00"}]}).encode()
        for words in WRITING:
            self.spawn("--store", "vars.fd", *words, stdin=document)
        done = self.spawn("--store", "other.fd", "create", "--force")
        self.assertEqual(done.returncode, SUCCESS)
        self.spawn("--store", "other.fd", "import", "--format", "image", "vars.fd")

    def test_mutated_images(self):
        for round_number in range(ROUNDS):
            with self.subTest(round=round_number, seed=SEED):
                self.survives(self.mutated())

    def test_noise(self):
        for size in (4096, 8192, 0x84000):
            with self.subTest(size=size):
                self.survives(self.random.randbytes(size))

    def test_a_volume_that_claims_more_than_there_is(self):
        for length in (0, 1, 0x84001, 0x85000, 1 << 32, (1 << 63) - 4096, (1 << 64) - 1):
            image = bytearray(self.base)
            image[32:40] = length.to_bytes(8, "little")
            self.path("vars.fd").write_bytes(image)
            for words in (["check"], ["list"], ["set", "A", "--text", "x"]):
                done = self.spawn("--store", "vars.fd", *words)
                self.assertEqual(done.returncode, FAILURE, (length, words))
            # The rest of the headers tells what it is, and that it does not open.
            done = self.spawn("--store", "vars.fd", "info", "--json")
            self.assertEqual(done.returncode, SUCCESS, length)
            self.assertIn("FvLength", json.loads(done.stdout)["open_error"])

    def test_mutated_documents(self):
        self.run_it("create")
        for name in ("json", "qemu", "ubootefi"):
            content = self.run_it("export", "--format", name, store="base.fd")
            for _ in range(ROUNDS):
                mutated = bytearray(content)
                for _ in range(self.random.randrange(1, 6)):
                    at = self.random.randrange(len(mutated))
                    mutated[at:at + self.random.randrange(3)] = self.random.randbytes(
                        self.random.randrange(3))
                self.spawn("--store", "vars.fd", "import", "--format", name, "-",
                           stdin=bytes(mutated))
        # Whatever came of it, the store is one.
        self.run_it("check")

    def test_deep_and_endless_documents(self):
        self.run_it("create")
        with self.keeps("vars.fd"):
            for content in (b"[" * 1000000, b'{"efistore":1,"variables":' + b"[" * 1000000,
                            b'{"a":' * 300000, b'"' + b"\\u0000" * 100000, b"\xff\xfe" * 1000):
                for name in ("json", "qemu"):
                    self.fails("import", "--format", name, "-", stdin=content,
                               message="standard input: .{1,400}")


if __name__ == "__main__":
    script_test.main()
