# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A reclaim of efistore's that is cut, booted by real EDK2 firmware: after efistore's recovery, and
without it wherever EDK2's own recovery can act.

EFISTORE_CUT_BOOTS=N boots N of the cuts, spread over all phases; by default a few of them.
"""

import dataclasses
import os

import ovmf
import script_test
import support
from support import BOOT_SERVICE, NON_VOLATILE, RUNTIME, Store, Variable

VENDOR_GUID = "c0ffee00-1234-4321-8765-0123456789ab"
EVERYWHERE = NON_VOLATILE | BOOT_SERVICE | RUNTIME
WORKING, SPARE = 0x41000, 0x42000
BLOCK = 0x1000
ERASED = 0xff
CUT_BOOTS = int(os.environ.get("EFISTORE_CUT_BOOTS", "4"))

KEPT = [Variable(f"Kept{i}", VENDOR_GUID, EVERYWHERE, bytes([i]) * 1500) for i in range(6)]
CHURNED = Variable("Churned", VENDOR_GUID, EVERYWHERE, b"last")


@dataclasses.dataclass(frozen=True)
class Operation:
    offset: int
    data: bytes  # what the operation leaves there
    erases: bool

    @staticmethod
    def parse(line):
        kind, offset, rest = line.split()
        if kind == "E":
            return Operation(int(offset, 16), bytes([ERASED]) * int(rest, 16), True)
        return Operation(int(offset, 16), bytes.fromhex(rest), False)

    def phase(self):
        if WORKING <= self.offset < SPARE:
            return "queue"
        return ("erase" if self.erases else "program") + (
            " spare" if self.offset >= SPARE else " target")


@dataclasses.dataclass(frozen=True)
class Cut:
    """`done` operations in full, and half of the next one's bytes if `torn`."""
    done: int
    torn: bool
    image: bytes
    phase: str
    edk2_can_act: bool


def cuts_of(image, operations):
    """Every cut between and inside the operations."""
    cuts = []
    image = bytearray(image)
    last_live = max(i for i, operation in enumerate(operations)
                    if operation.phase() == "program target")
    first_target = min(i for i, operation in enumerate(operations) if operation.offset < BLOCK)
    for done, operation in enumerate(operations):
        for torn in (False, True):
            size = len(operation.data) // 2 if torn else 0
            cut = bytearray(image)
            cut[operation.offset:operation.offset + size] = operation.data[:size]
            # From the erase of the first block until the last live record is back, EDK2 sees no
            # headers, or too few records, before it looks at its queue.
            blind = first_target + (not torn) <= done <= last_live
            if size or not torn:
                cuts.append(Cut(done, torn, bytes(cut), operation.phase(), not blind))
        image[operation.offset:operation.offset + len(operation.data)] = operation.data
    cuts.append(Cut(len(operations), False, bytes(image), "end", True))
    return cuts


def spread(cuts, count):
    """`count` of the cuts, every phase among them as evenly as can be."""
    phases = {}
    for cut in cuts:
        phases.setdefault(cut.phase, []).append(cut)
    chosen = []
    for turn in range(count):
        phase = sorted(phases)[turn % len(phases)]
        nth = turn // len(phases)
        per_phase = -(-count // len(phases))
        candidates = phases[phase]
        chosen.append(candidates[(2 * nth + 1) * len(candidates) // (2 * per_phase)])
    return chosen


class PowerCutTest(support.TestCase):

    def filled_store(self):
        store = Store(self.folder / "store.fd")
        store.create("ovmf-4m")
        store.set(dataclasses.replace(CHURNED, data=b"so that the first block changes too"))
        for variable in KEPT:
            store.set(variable)
        for i in range(40):
            store.set(dataclasses.replace(CHURNED, data=bytes([i]) * 6000))
        store.set(CHURNED)
        return store

    def cuts(self):
        store = self.filled_store()
        recorder = os.environ["EFISTORE_RECORD_RECLAIM"]
        lines = script_test.run([recorder, store.image]).stdout.decode().splitlines()
        operations = [Operation.parse(line) for line in lines]
        return cuts_of(store.image.read_bytes(), operations)

    def assert_boots_with_all(self, image, cut):
        boot = ovmf.boot(image)
        where = f"cut after {cut.done}{' and a half' if cut.torn else ''}, {cut.phase}"
        self.assertIsNotNone(boot.variables, f"{where}: the shell did not run:\n{boot.serial}")
        names = {(v.name, v.guid) for v in KEPT + [CHURNED]}
        self.assert_same_variables(
            KEPT + [CHURNED], [v for v in boot.variables if (v.name, v.guid) in names])

    def test_cut_reclaims_boot_after_recovery(self):
        chosen = spread(self.cuts(), CUT_BOOTS)
        for cut in chosen:
            with self.subTest(done=cut.done, torn=cut.torn, phase=cut.phase):
                store = Store(self.folder / "cut.fd")
                store.image.write_bytes(cut.image)
                store.command("reclaim")
                store.command("check")
                self.assert_boots_with_all(store.image, cut)
        print(f"power cuts booted after recovery: {len(chosen)}", flush=True)

    def test_cut_reclaims_are_recovered_by_firmware(self):
        chosen = spread([cut for cut in self.cuts() if cut.edk2_can_act], CUT_BOOTS)
        for cut in chosen:
            with self.subTest(done=cut.done, torn=cut.torn, phase=cut.phase):
                image = self.folder / "cut.fd"
                image.write_bytes(cut.image)
                self.assert_boots_with_all(image, cut)
                self.assertLess({(v.name, v.data) for v in KEPT},
                                {(v.name, v.data) for v in Store(image).list()})
        print(f"power cuts booted without recovery: {len(chosen)}", flush=True)


if __name__ == "__main__":
    script_test.main()
