# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Independent readers of EDK2 variable stores, each brought to lists of Variable.

None of them shares code with this project or with each other.
"""

import json
import os
import pathlib
import re
import shutil
import tempfile
import unittest
import xml.etree.ElementTree

import script_test
from support import Variable

# Debian's interpreter: python3-virt-firmware's own dependencies are Debian packages.
SYSTEM_PYTHON = "/usr/bin/python3"
AUTHENTICATED_HEADER_SIZE = 60
FWUPD_ATTRIBUTES = {
    "non-volatile": 0x01,
    "bootservice-access": 0x02,
    "runtime-access": 0x04,
    "hardware-error-record": 0x08,
    "authenticated-write-access": 0x10,
    "time-based-authenticated-write-access": 0x20,
    "append-write": 0x40,
}


def virt_firmware(image: pathlib.Path) -> list[Variable]:
    """virt-fw-vars. tools/dev/test unpacks it below build/, as bookworm itself does not have it;
    it is optional also under CI=true, because the backports may be out of reach."""
    unpacked = script_test.SOURCE_DIR / "build/virt-firmware/usr/lib/python3/dist-packages"
    environment = {**os.environ, "PYTHONPATH": str(unpacked)}
    probe = script_test.run([SYSTEM_PYTHON, "-c", "import virt.firmware.vars"], env=environment,
                        check=False)
    if probe.returncode != 0:
        if not unpacked.is_dir():
            raise unittest.SkipTest(
                "python3-virt-firmware is neither installed nor unpacked by tools/dev/test")
        script_test.missing("python3-virt-firmware does not run: " +
                            probe.stderr.decode(errors="replace").strip())
    with tempfile.TemporaryDirectory(prefix="efistore-virt-firmware-") as folder:
        report = pathlib.Path(folder) / "variables.json"
        script_test.run([SYSTEM_PYTHON, "-m", "virt.firmware.vars", "-i", image,
                     "--output-json", report], env=environment)
        return from_qemu_json(report.read_bytes())


def from_qemu_json(data: bytes) -> list[Variable]:
    """QEMU's uefi-vars JSON, which virt-fw-vars writes and the vectors come with."""
    return [Variable(entry["name"], entry["guid"].lower(), entry["attr"],
                     bytes.fromhex(entry["data"])) for entry in json.loads(data)["variables"]]


def uefi_extract(image: pathlib.Path) -> list[Variable]:
    """UEFIExtract of uefitool-cli; live records only, which it calls Auth or Standard."""
    program = script_test.need_program("UEFIExtract")
    variables = []
    with tempfile.TemporaryDirectory(prefix="efistore-uefiextract-") as folder:
        copy = pathlib.Path(folder) / "image"
        shutil.copyfile(image, copy)
        script_test.run([program, copy, "all"], cwd=folder)
        for path in pathlib.Path(folder).glob("image.dump/**/info.txt"):
            info = dict(re.findall(r"^([^:\n]+): (.*)$", path.read_text(), re.MULTILINE))
            if info.get("Type") != "VSS entry" or info.get("Subtype") == "Invalid":
                continue
            body = path.with_name("body.bin")
            variables.append(Variable(
                name=info["Text"], guid=info["Variable GUID"].lower(),
                attributes=int(info["Attributes"].split("h")[0], 16),
                data=body.read_bytes() if body.exists() else b""))
    return variables


def fwupd(image: pathlib.Path) -> list[Variable]:
    """fwupdtool; it tells a record's size but not its data: `data` is as many zeros as belong there.

    It reads an AAVMF image only without the padding behind the volume.
    """
    program = script_test.need_program("fwupdtool")
    output = script_test.run([program, "firmware-parse", image, "efi-volume"]).stdout.decode()
    document = xml.etree.ElementTree.fromstring(output[output.index("<firmware"):])
    variables = []
    for entry in document.iter("firmware"):
        if entry.get("gtype") != "FuEfiVssAuthVariable":
            continue
        words = filter(None, (entry.findtext("attributes") or "").split(","))
        name = entry.findtext("id") or ""
        name_size = len(name.encode("utf-16-le")) + 2
        data_size = int(entry.findtext("size"), 16) - AUTHENTICATED_HEADER_SIZE - name_size
        variables.append(Variable(
            name=name, guid=entry.findtext("vendor_guid"),
            attributes=sum(FWUPD_ATTRIBUTES[word] for word in words), data=bytes(data_size)))
    return variables


def sizes_only(variables: list[Variable]) -> list[Variable]:
    """Variables with their data replaced by as many zeros, to be compared with fwupd()'s."""
    return [Variable(v.name, v.guid, v.attributes, bytes(len(v.data))) for v in variables]
