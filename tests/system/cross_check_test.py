# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Other programs' readers and efistore see the same variables in the same image."""

import lzma

import readers
import script_test
import support
from support import BOOT_SERVICE, NON_VOLATILE, RUNTIME, Store, Variable

# The volume in Debian's AAVMF images; the rest of their 64 MiB is padding.
AAVMF_VOLUME_SIZE = 0xC0000
DEBIAN_IMAGES = [
    "/usr/share/OVMF/OVMF_VARS_4M.fd",
    "/usr/share/OVMF/OVMF_VARS_4M.ms.fd",
    "/usr/share/OVMF/OVMF_VARS_4M.snakeoil.fd",
    "/usr/share/OVMF/OVMF_VARS.fd",
    "/usr/share/OVMF/OVMF_VARS.ms.fd",
]
AAVMF_IMAGES = [
    "/usr/share/AAVMF/AAVMF_VARS.ms.fd",
    "/usr/share/AAVMF/AAVMF_VARS.snakeoil.fd",
]
VECTORS = [
    "v01-ovmf4m-redhat-ms.fd.xz",
    "v03-ovmf4m-boot-entries.fd.xz",
    "v06-ovmf2m-ms.fd.xz",
    "v08-ovmf4m-edk2written-ms.fd.xz",
]
VECTORS_WITH_JSON = ["v01", "v03", "v08"]

GUID = "c0ffee00-1234-4321-8765-0123456789ab"
EVERYWHERE = NON_VOLATILE | BOOT_SERVICE | RUNTIME


class CrossCheckTest(support.TestCase):

    def images(self):
        """Copies of all images that hold variables of other producers."""
        for path in DEBIAN_IMAGES:
            yield self.copy(path)
        for path in AAVMF_IMAGES:
            yield self.copy(path, AAVMF_VOLUME_SIZE)
        for name in VECTORS:
            yield self.vector(name)

    def vector(self, name):
        data = lzma.decompress(script_test.need_shared(f"vectors/store/{name}").read_bytes())
        image = self.folder / name.removesuffix(".xz")
        image.write_bytes(data)
        return image

    def compare(self, read, view=lambda variables: variables):
        for image in self.images():
            with self.subTest(image=image.name):
                before = image.read_bytes()
                self.assert_same_variables(read(image), view(Store(image).list()))
                self.assertEqual(before, image.read_bytes(), "listing changed the image")

    def written_stores(self):
        """Stores of every layout with a history of creations, updates and deletions, each with
        what must be in it."""
        for layout in ("ovmf-4m", "ovmf-2m", "aavmf", "custom"):
            options = ["--size", "0x20000"] if layout == "custom" else []
            store = Store(self.folder / f"{layout}.fd")
            store.create(layout, *options)
            expected = [
                Variable(f"Name{i:04}", GUID, EVERYWHERE if i % 2 else EVERYWHERE & ~RUNTIME,
                         bytes([i]) * (i * 13 + 1)) for i in range(20)]
            for variable in expected:
                store.set(Variable(variable.name, variable.guid, variable.attributes, b"old"))
            for variable in expected:
                store.set(variable)
            store.delete(expected.pop(7))
            yield store, expected

    def check_written(self, read, view=lambda variables: variables):
        for store, expected in self.written_stores():
            with self.subTest(store=store.image.name):
                self.assert_same_variables(view(expected), read(store.image))

    def test_virt_firmware_and_efistore_read_the_same(self):
        self.compare(readers.virt_firmware)

    def test_uefi_extract_and_efistore_read_the_same(self):
        self.compare(readers.uefi_extract)

    def test_fwupd_and_efistore_read_the_same(self):
        self.compare(readers.fwupd, readers.sizes_only)

    def test_virt_firmware_reads_what_efistore_wrote(self):
        self.check_written(readers.virt_firmware)

    def test_uefi_extract_reads_what_efistore_wrote(self):
        self.check_written(readers.uefi_extract)

    def test_fwupd_reads_what_efistore_wrote(self):
        self.check_written(readers.fwupd, readers.sizes_only)

    def test_vectors_are_read_as_their_json_says(self):
        for name in VECTORS_WITH_JSON:
            with self.subTest(vector=name):
                image = self.vector(next(v for v in VECTORS if v.startswith(name)))
                json = script_test.need_shared(f"vectors/store/{name}.json").read_bytes()
                self.assert_same_variables(readers.from_qemu_json(json), Store(image).list())

    def test_padding_behind_the_volume_changes_nothing(self):
        for path in AAVMF_IMAGES:
            with self.subTest(image=path):
                whole = Store(self.copy(path)).list()
                self.assertGreater(len(whole), 0)
                self.assert_same_variables(
                    whole, Store(self.copy(path, AAVMF_VOLUME_SIZE)).list())


if __name__ == "__main__":
    script_test.main()
