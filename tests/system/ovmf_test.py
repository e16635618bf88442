# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Real EDK2 firmware boots on images that efistore wrote, and efistore reads what it wrote."""

import os
import random

import ovmf
import script_test
import support
from support import BOOT_SERVICE, GLOBAL_GUID, NON_VOLATILE, RUNTIME, Store, Variable

VENDOR_GUID = "c0ffee00-1234-4321-8765-0123456789ab"
OTHER_GUID = "c0ffee01-1234-4321-8765-0123456789ab"
EVERYWHERE = NON_VOLATILE | BOOT_SERVICE | RUNTIME
# The largest variable area of OVMF's layouts: who writes more than that has reclaimed.
STORE_SIZE = 0x40000
SECURE_BOOT_ON = Variable(
    "SecureBootEnable", "f0a30bc7-af08-4556-99c4-001009c93a44", NON_VOLATILE | BOOT_SERVICE, b"\1")
OPERATIONS = 1000
OPERATIONS_SEED = int(os.environ.get("EFISTORE_SEED", "2718281828"))

# What OVMF writes anew at a boot, for the devices that it finds and for its monotonic counter.
REWRITTEN_BY_BOOT = {"Boot0001", "ConIn", "ConOut", "ErrOut", "MTC"}

WRITTEN = [
    Variable("One", VENDOR_GUID, EVERYWHERE, b"\x01"),
    Variable("One", OTHER_GUID, EVERYWHERE, b"\x02"),
    Variable("BootOnly", VENDOR_GUID, NON_VOLATILE | BOOT_SERVICE, bytes(range(256))),
    Variable("Name with spaces", VENDOR_GUID, EVERYWHERE, b"\xff" * 17),
    Variable("Größe", VENDOR_GUID, EVERYWHERE, "größer".encode("utf-16-le")),
    Variable("Long", VENDOR_GUID, EVERYWHERE, bytes(i * 7 % 251 for i in range(8000))),
    Variable("Timeout", GLOBAL_GUID, EVERYWHERE, b"\0\0"),
]


class OvmfTest(support.TestCase):

    def assert_listed(self, expected, boot):
        """OVMF lists `expected` among what it added itself."""
        self.assertIsNotNone(boot.variables, f"the shell did not run:\n{boot.serial}")
        names = {(variable.name, variable.guid) for variable in expected}
        self.assert_same_variables(
            expected, [v for v in boot.variables if (v.name, v.guid) in names])

    def assert_reads_back(self, store, boot):
        """What efistore lists afterwards is what OVMF had in its flash, neither more nor less."""
        self.assert_same_variables(boot.non_volatile, store.list())

    def test_both_read_what_the_other_wrote(self):
        store = Store(self.folder / "store.fd")
        store.create("ovmf-4m")
        for variable in WRITTEN:
            store.set(variable)
        by_shell = [
            Variable("Long", VENDOR_GUID, EVERYWHERE, b"\x11\x22\x33"),
            Variable("FromShell", VENDOR_GUID, NON_VOLATILE | BOOT_SERVICE, b"\x44\x55"),
        ]
        deleted = WRITTEN[0]
        boot = ovmf.boot(store.image, commands=[
            *(ovmf.setvar(variable) for variable in by_shell),
            f"setvar {deleted.name} -guid {deleted.guid} ="])
        kept = [v for v in WRITTEN if v != deleted and v.name != "Long"]
        self.assert_listed(kept + by_shell, boot)
        self.assertNotIn((deleted.name, deleted.guid),
                         [(v.name, v.guid) for v in boot.variables])
        self.assert_reads_back(store, boot)
        for variable in by_shell:
            self.assertEqual(variable.data, store.get(variable))

    def test_boots_after_a_thousand_sets_and_deletes(self):
        print(f"repeat with EFISTORE_SEED={OPERATIONS_SEED}", flush=True)
        store = Store(self.copy("/usr/share/OVMF/OVMF_VARS_4M.ms.fd"))
        before = store.list()
        self.assertEqual(4, len([v for v in before if v.name in ("PK", "KEK", "db", "dbx")]))
        self.churn(store, random.Random(OPERATIONS_SEED))
        written = store.list()
        self.switch_secure_boot_off(store)
        boot = ovmf.boot(store.image)
        self.assert_listed(
            [v for v in written if v.name not in REWRITTEN_BY_BOOT and v != SECURE_BOOT_ON], boot)
        self.assertIn(Variable("SetupMode", GLOBAL_GUID, BOOT_SERVICE | RUNTIME, b"\0"),
                      boot.variables, "OVMF did not take the keys")
        self.assert_reads_back(store, boot)

    def churn(self, store, generator):
        """OPERATIONS sets and deletes; checks that the store holds what was there before and what
        they left."""
        expected = {(v.name, v.guid): v for v in store.list()}
        data_size = 0
        for _ in range(OPERATIONS):
            key = (f"Churn {generator.randrange(60)}", generator.choice([VENDOR_GUID, OTHER_GUID]))
            if key in expected and generator.random() < 0.3:
                store.delete(expected.pop(key))
                continue
            attributes = (expected[key].attributes if key in expected
                          else generator.choice([EVERYWHERE, NON_VOLATILE | BOOT_SERVICE]))
            variable = Variable(*key, attributes, generator.randbytes(generator.randint(1, 1200)))
            store.set(variable)
            expected[key] = variable
            data_size += len(variable.data)
        self.assertGreater(data_size, STORE_SIZE, "the operations did not lead to a reclaim")
        self.assert_same_variables(expected.values(), store.list())

    def switch_secure_boot_off(self, store):
        """OVMF refuses to run its unsigned shell under Secure Boot. No tool may write this
        variable, so that its data is changed in the flash, as somebody at the machine could."""
        self.assertIn(SECURE_BOOT_ON, store.list())
        name = (SECURE_BOOT_ON.name + "\0").encode("utf-16-le")
        image = store.image.read_bytes()
        store.image.write_bytes(image.replace(name + b"\1", name + b"\0"))
        self.assertNotIn(SECURE_BOOT_ON, store.list())

    def test_the_small_layout_boots(self):
        store = Store(self.folder / "store.fd")
        store.create("ovmf-2m")
        for variable in WRITTEN:
            store.set(variable)
        boot = ovmf.boot(store.image, code=ovmf.CODE_2M)
        self.assert_listed(WRITTEN, boot)
        self.assert_reads_back(store, boot)


if __name__ == "__main__":
    script_test.main()
