# SPDX-License-Identifier: BSD-2-Clause-Patent
"""capsule sign and verify, beside openssl, GenerateCapsule and mkeficapsule."""

import json
import os

import script_test
from capsules import TYPE_A, TYPE_B, CapsuleTest
from command import FAILURE, USAGE

# Which key of the vectors has signed which capsule; the leaf has most.
SIGNERS = {"e15": "leafec", "e16": "selfsigned", "e17": "leafcs", "e18": "leafexp",
           "e19": "rogueleaf", "u04": "selfsigned", "u14": "selfsigned", "u18": "leafec",
           "u19": "rogueleaf"}
DIGESTS = {"e12": "sha384", "e13": "sha512"}


class SignTest(CapsuleTest):
    def test_openssl_verifies_every_kind_of_key_and_digest(self):
        self.simple()
        for key, anchor, words in (
                ("leaf", "root", ["--chain", self.vector("keys/int.crt")]),
                ("leaf", "root", ["--chain", self.vector("keys/root+int.pem"), "--digest", "sha384"]),
                ("leafec", "root", ["--chain", self.vector("keys/int.crt"), "--digest", "sha512"]),
                ("leaf4096", "root", ["--chain", self.vector("keys/int.crt"), "--monotonic-count",
                                      "0xffffffffffffffff"]),
                ("selfsigned", "selfsigned", [])):
            with self.subTest(key=key, words=words):
                self.sign("a.cap", "s.cap", "--force", *words, key=key)
                self.run_it("capsule", "verify", "s.cap", "--trusted",
                            self.vector(f"keys/{anchor}.crt"))
                for program in ("cms", "smime"):
                    done = self.openssl("s.cap", anchor, program=program)
                    self.assertEqual(done.returncode, 0, (program, done.stderr))
                data = bytearray(self.path("s.cap").read_bytes())
                data[-1] ^= 1
                self.path("s.cap").write_bytes(data)
                self.assertNotEqual(self.openssl("s.cap", anchor).returncode, 0)

    def test_fields_are_those_of_the_other_tools(self):
        signed = 0
        for entry in self.manifest:
            payloads = [payload for payload in entry.get("payloads", []) if "auth" in payload]
            if not payloads:
                continue
            name = os.path.basename(entry["file"])[:3]
            theirs = self.inspect(self.vector(entry["file"]))
            with self.subTest(file=entry["file"]):
                self.create("u", *self.arguments(entry), "--force")
                chain = [] if SIGNERS.get(name) == "selfsigned" else [
                    "--chain", self.vector("keys/int.crt")]
                keys = ["leaf", "leaf2"] if name == "e34" else [SIGNERS.get(name, "leaf")]
                self.path("s").write_bytes(self.path("u").read_bytes())
                for index, payload in enumerate(payloads):
                    self.sign("s", "s", "--force", "--payload", index, "--monotonic-count",
                              payload["auth"]["MonotonicCount"], "--digest",
                              DIGESTS.get(name, "sha256"), *chain, key=keys[index])
                ours = self.inspect("s")
                for document in (theirs, ours):
                    for payload in document["payloads"]:
                        authentication = payload["authentication"]
                        self.assertEqual(authentication["length"],
                                         authentication["data"]["size"] + 24)
                        # The signer's certificate is the same; others can be beside it.
                        payload["authentication"] = {
                            key: authentication[key] for key in
                            ("monotonic_count", "revision", "certificate_type", "cert_type",
                             "signer")}
                        del payload["header"]["image_size"]
                for kind in ("header", "fmp", "drivers", "payloads"):
                    self.assertEqual(self.without_places(theirs[kind]),
                                     self.without_places(ours[kind]))
                signed += len(payloads)
        self.assertGreaterEqual(signed, 19)

    def without_places(self, value):
        """A document without offsets and sizes, which a longer signature moves."""
        if isinstance(value, list):
            return [self.without_places(each) for each in value]
        if not isinstance(value, dict):
            return value
        return {key: self.without_places(each) for key, each in value.items()
                if key not in ("offset", "offsets", "image_size", "item_offsets", "image")}

    def test_a_signature_is_replaced_and_the_count_stays(self):
        self.simple()
        self.sign("a.cap", "once.cap", "--monotonic-count", "7")
        self.sign("once.cap", "twice.cap", key="selfsigned")
        self.sign("twice.cap", "again.cap")
        # No time is in it: with RSA the same bytes again.
        self.assertEqual(self.path("once.cap").read_bytes(), self.path("again.cap").read_bytes())
        seen = self.inspect("twice.cap")["payloads"][0]["authentication"]
        self.assertEqual((seen["monotonic_count"], seen["signer"]["sha256"]),
                         (7, self.inspect(self.vector("edk2/e16-signed-selfsigned.cap"))
                          ["payloads"][0]["authentication"]["signer"]["sha256"]))

    def test_single_payloads_and_drivers(self):
        entry = next(each for each in self.manifest if each["file"] == "edk2/e33-multi.cap")
        self.create("m", *self.arguments(entry), "--driver", self.vector("payloads/driver1.efi"))
        self.sign("m", "s", "--payload", "2", "--payload", "0")
        self.assertEqual([payload["authentication"] is not None
                          for payload in self.inspect("s")["payloads"]], [True, False, True])
        self.assertEqual([payload["header"]["support"]
                          for payload in self.inspect("s")["payloads"]], [1, 0, 1])
        done = self.fails("capsule", "verify", "s", "--trusted", self.vector("keys/leaf.crt"),
                          stdout=None, message="s: payload 1: EFI_INVALID_PARAMETER: .*")
        self.assertRegex(done.stdout.decode(), r"(?s)payload 0: verified: .*payload 1: refused: "
                         r"EFI_INVALID_PARAMETER.*payload 2: verified: .*1 driver, which no .*")

    def test_errors(self):
        self.simple()
        key, certificate = self.key("leaf")
        rest = ["-o", "s", "--key", key, "--cert", certificate]
        self.fails("capsule", "sign", "a.cap", "-o", "s", "--key", key, "--cert",
                   self.vector("keys/int.crt"), message="--key: the key is not that of .*")
        self.fails("capsule", "sign", "a.cap", "-o", "s", "--key", certificate, "--cert",
                   certificate, message=f"{certificate}: no private key in PEM.*")
        self.fails("capsule", "sign", "a.cap", *rest, "--payload", "1", code=USAGE,
                   message='--payload: "1" is no number from 0 to 0')
        self.fails("capsule", "sign", "a.cap", *rest, "--digest", "md5", code=USAGE,
                   message=".*--digest.*")
        self.fails("capsule", "sign", "a.cap", *rest, "--monotonic-count", "x", code=USAGE,
                   message="--monotonic-count: .*")
        self.fails("capsule", "sign", "a.cap", *rest, "--chain", "a.cap", message="a.cap: .*")
        for name, message in (("neg/n017.cap", "it is in the header of another capsule"),
                              ("uboot/u06-old-revert.cap", "it is no FMP capsule"),
                              ("edk2/e37-driver-only.cap", "there is no payload to sign"),
                              ("neg/n001.cap", "capsule header at byte 0: .*")):
            path = self.vector(name)
            self.fails("capsule", "sign", path, *rest, message=f"{path}: {message}")
        self.path("s").write_bytes(b"mine")
        with self.keeps("s"):
            self.fails("capsule", "sign", "a.cap", *rest, message="s: File exists")

    def test_a_token_needs_its_provider_and_its_pin_is_told_nobody(self):
        self.simple()
        done = self.fails(
            "capsule", "sign", "a.cap", "-o", "s", "--key", "pkcs11:object=leaf;pin-value=1234",
            "--cert", self.key("leaf")[1], environment={"OPENSSL_MODULES": str(self.folder)},
            message="--key: OpenSSL's provider \"pkcs11\", .* cannot be loaded")
        self.assertNotIn(b"1234", done.stderr)
        self.assertFalse(self.path("s").exists())


class TokenTest(CapsuleTest):
    """With a provider that keeps its key for itself: tests/support/token_provider.cpp."""

    def environment(self, key="leaf"):
        modules = os.environ.get("EFISTORE_TEST_MODULES")
        if modules is None:
            script_test.missing("EFISTORE_TEST_MODULES does not name the folder of the provider")
        return {"OPENSSL_MODULES": modules, "EFISTORE_TEST_TOKEN": str(self.key(key)[0])}

    def sign_with(self, uri, certificate="leaf", **options):
        return self.spawn("capsule", "sign", "a.cap", "-o", "t.cap", "--key", uri, "--cert",
                          self.key(certificate)[1], "--chain", self.vector("keys/int.crt"),
                          "--digest", "sha384", environment=self.environment(**options))

    def test_the_signature_is_that_of_the_key_in_a_file(self):
        self.simple()
        self.sign("a.cap", "f.cap", "--chain", self.vector("keys/int.crt"), "--digest", "sha384")
        done = self.sign_with("pkcs11:object=leaf;pin-value=1234")
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        self.assertEqual(self.path("f.cap").read_bytes(), self.path("t.cap").read_bytes())

    def test_what_the_token_does_not_do_is_said(self):
        self.simple()
        # A file of that name is no token.
        self.path("pkcs11:object=none").write_bytes(self.key("leaf")[0].read_bytes())
        for uri, options, message in (
                ("pkcs11:object=none", {}, b"--key: the token has no private key of that URI"),
                ("pkcs11:object=two", {}, b"--key: the URI names more than one private key"),
                ("pkcs11:object=broken", {}, b"--key: the token .*"),
                ("pkcs11:object=forger", {}, b"the signature that was made is not one: .*"),
                ("pkcs11:object=leaf", {"certificate": "leaf2"}, b"--key: the key is not that of"),
                ("pkcs11:object=leaf", {"key": "leafec"}, b"--key: .*")):
            done = self.sign_with(uri, **options)
            self.assertEqual(done.returncode, FAILURE, uri)
            self.assertRegex(done.stderr, b"\\Aefistore: " + message)
        self.assertFalse(self.path("t.cap").exists())


class VerifyTest(CapsuleTest):
    def verify(self, name, anchor, *words, **options):
        return self.json("capsule", "verify", self.vector(name), "--trusted",
                         self.vector(f"keys/{anchor}.crt"), *words, **options)

    def refused(self, path, *words, message: str, anchor="root"):
        done = self.fails("capsule", "verify", path, "--trusted", self.vector(f"keys/{anchor}.crt"),
                          "--json", *words, stdout=None, message=f"{path}: {message}")
        return json.loads(done.stdout)["payloads"] if done.stdout else []

    def test_signed_ones_of_others(self):
        seen = self.verify("edk2/e34-multi-signed-depex.cap", "root")
        self.assertTrue(seen["verified"])
        self.assertEqual([(each["verdict"], each["status"], each["type_id"], each["version"])
                          for each in seen["payloads"]],
                         [("verified", "EFI_SUCCESS", TYPE_A, 0x20001),
                          ("verified", "EFI_SUCCESS", TYPE_B, seen["payloads"][1]["version"])])
        self.assertEqual(seen["payloads"][1]["dependency"], f"{TYPE_A} >= 0x10000")
        self.assertTrue(self.verify("uboot/u03-old-signed.cap", "int", "--no-header")["verified"])
        self.assertTrue(self.verify("edk2/e18-signed-expired-leaf.cap", "root")["verified"])
        # Any of several is enough.
        self.assertTrue(self.verify("edk2/e19-signed-rogue.cap", "root", "--trusted",
                                    self.vector("keys/rogueroot.der"))["verified"])
        text = self.text("capsule", "verify", self.vector("edk2/e36-2drivers-signed.cap"),
                         "--trusted", self.vector("keys/root.crt"))
        self.assertRegex(text, r"\Apayload 0: verified: by CN=Test Root CA,.*, version 0x00020001, "
                         r"lowest supported 0x00010000, 4096 bytes of firmware\n"
                         r"2 drivers, which no signature covers\n\Z")

    def test_refusals_have_their_status(self):
        payloads = self.refused(self.vector("edk2/e19-signed-rogue.cap"),
                                message="payload 0: EFI_SECURITY_VIOLATION: no trusted .*")
        self.assertEqual([(each["verdict"], each["status"], each["last_attempt_status"])
                          for each in payloads], [("refused", "EFI_SECURITY_VIOLATION", 5)])
        self.refused(self.vector("edk2/e01-unsigned.cap"),
                     message="payload 0: EFI_INVALID_PARAMETER: .*dwLength.*")
        self.refused(self.vector("uboot/u03-old-signed.cap"), anchor="int",
                     message="payload 0: EFI_INVALID_PARAMETER: neither an FMP payload header .*")
        self.refused(self.vector("uboot/u06-old-revert.cap"),
                     message="EFI_UNSUPPORTED: it is no FMP capsule.*")
        self.refused(self.vector("edk2/e37-driver-only.cap"),
                     message="EFI_UNSUPPORTED: it has drivers alone.*")
        data = bytearray(self.vector("edk2/e10-signed-chain.cap").read_bytes())
        data[22] = 4  # INITIATE_RESET alone
        self.path("flags").write_bytes(data)
        self.refused("flags", message="EFI_INVALID_PARAMETER: .*Flags at byte 20.*")
        self.fails("capsule", "verify", "flags", code=USAGE, message=".*--trusted.*")
        self.fails("capsule", "verify", "flags", "--trusted", "none", message="none: No such .*")

    def test_each_bit_that_is_signed_counts(self):
        good = self.vector("edk2/e10-signed-chain.cap").read_bytes()
        shown = self.inspect(self.vector("edk2/e10-signed-chain.cap"))["payloads"][0]
        for at in (shown["authentication"]["offset"], shown["payload_header"]["offset"] + 8,
                   shown["firmware"]["offset"], len(good) - 1):
            data = bytearray(good)
            data[at] ^= 0x10
            self.path("bad").write_bytes(data)
            self.refused("bad", message="payload 0: EFI_SECURITY_VIOLATION: the signature is .*")


class MkeficapsuleTest(CapsuleTest):
    def test_what_it_makes_is_read_and_made_alike(self):
        program = script_test.need_program("mkeficapsule")
        firmware = self.vector("payloads/fwB.bin")
        key, certificate = self.key("selfsigned")
        common = [program, "--guid", TYPE_A, "--index", "3", "--instance", "9"]
        script_test.run([*common, firmware, self.path("plain")])
        ours = self.create("ours", "--payload", firmware, "--type", TYPE_A, "--index", "3",
                           "--instance", "9", "--no-header", "--header-size", "28")
        self.assertEqual(self.path("plain").read_bytes(), ours)
        script_test.run([*common, "--private-key", key, "--certificate", certificate,
                         "--monotonic-count", "4", firmware, self.path("theirs")])
        self.run_it("capsule", "verify", "theirs", "--trusted", certificate, "--no-header")
        seen = self.inspect("theirs")["payloads"][0]
        self.assertEqual((seen["header"]["index"], seen["header"]["hardware_instance"],
                          seen["authentication"]["monotonic_count"]), (3, 9, 4))
        self.sign("theirs", "signed", key="selfsigned")
        self.assertEqual(self.openssl("signed", "selfsigned").returncode, 0)


if __name__ == "__main__":
    script_test.main()
