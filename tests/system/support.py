# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What the system tests share: variables, the efistore command, and folders of their own."""

import dataclasses
import hashlib
import json
import os
import pathlib
import tempfile
import unittest

import script_test

GLOBAL_GUID = "8be4df61-93ca-11d2-aa0d-00e098032b8c"
NON_VOLATILE = 0x01
BOOT_SERVICE = 0x02
RUNTIME = 0x04


@dataclasses.dataclass(frozen=True, order=True)
class Variable:
    """A variable as every reader and writer of a store sees it; the GUID in lower case."""

    name: str
    guid: str
    attributes: int
    data: bytes

    @property
    def full_name(self) -> str:
        return f"{self.name}-{self.guid}"

    @property
    def non_volatile(self) -> bool:
        return bool(self.attributes & NON_VOLATILE)


class Store:
    """An image that the efistore command works on."""

    def __init__(self, image: pathlib.Path):
        self.image = image

    def command(self, *words, **options):
        program = os.environ.get("EFISTORE_COMMAND")
        if program is None:
            script_test.missing("EFISTORE_COMMAND does not name the efistore command")
        return script_test.run([program, "--store", self.image, *words], **options)

    def create(self, layout: str, *options: str):
        self.command("create", "--layout", layout, *options)

    def set(self, variable: Variable):
        self.command("set", variable.full_name, "-a", f"{variable.attributes:#x}",
                     "--data", variable.data.hex())

    def delete(self, variable: Variable):
        self.command("delete", variable.full_name)

    def get(self, variable: Variable) -> bytes:
        return self.command("get", variable.full_name, "--raw").stdout

    def list(self) -> list[Variable]:
        listed = json.loads(self.command("list", "--all", "-l", "--json").stdout)
        return sorted(
            Variable(entry["name"], entry["guid"].lower(), entry["attributes"],
                     bytes.fromhex(entry["data"])) for entry in listed["variables"])


class TestCase(unittest.TestCase):
    """A test with a folder of its own."""

    maxDiff = None

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="efistore-system-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def copy(self, path, size_bytes=None) -> pathlib.Path:
        """A writable copy of an image, or of its first bytes, under the image's own name."""
        data = script_test.need_file(path).read_bytes()[:size_bytes]
        target = self.folder / pathlib.Path(path).name
        target.write_bytes(data)
        return target

    def assert_same_variables(self, expected, found):
        """Compares as text, one short line per variable, so that a difference can be read."""

        def lines(variables):
            return [f"{v.full_name} {v.attributes:#04x} {len(v.data)} B "
                    f"{v.data[:16].hex()} {hashlib.sha256(v.data).hexdigest()[:16]}"
                    for v in sorted(variables)]

        self.assertEqual(lines(expected), lines(found))
