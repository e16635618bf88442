# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Boots OVMF, real EDK2 firmware, on an image and asks its shell what variables it sees.

The shell that is built into OVMF starts `startup.nsh` from a FAT drive. `dmpstore -s` leaves the
variables there in a binary file, which no terminal escape or line break can garble.
"""

import dataclasses
import pathlib
import struct
import subprocess
import tempfile
import uuid
import zlib

import script_test
import support
from support import Variable

# A boot takes 10 s on an idle core under TCG; tests may share the machine with many others.
BOOT_TIMEOUT_S = 240
FAT_SIZE_SECTORS = 64 * 2048
DUMP_MAX_VARIABLES = 4096

CODE_4M = pathlib.Path("/usr/share/OVMF/OVMF_CODE_4M.fd")
CODE_4M_SECURE = pathlib.Path("/usr/share/OVMF/OVMF_CODE_4M.secboot.fd")
CODE_2M = pathlib.Path("/usr/share/OVMF/OVMF_CODE.fd")


@dataclasses.dataclass(frozen=True)
class Boot:
    """What one boot left behind; `variables` is None if the shell did not get to run."""

    serial: str
    variables: list[Variable] | None

    @property
    def non_volatile(self) -> list[Variable]:
        return [variable for variable in self.variables if variable.non_volatile]


def decode_dump(data: bytes) -> list[Variable]:
    """Decodes the file of `dmpstore -s`: per variable two sizes, the name with its NUL, the GUID,
    the attributes, the data, and the CRC-32 of all that."""
    variables = []
    offset = 0
    while offset < len(data):
        name_size, data_size = struct.unpack_from("<II", data, offset)
        end = offset + 8 + name_size + 16 + 4 + data_size
        (crc,) = struct.unpack_from("<I", data, end)
        if crc != zlib.crc32(data[offset:end]):
            raise AssertionError(f"dmpstore's record at {offset:#x} has a wrong CRC")
        name_end = offset + 8 + name_size
        variables.append(Variable(
            name=data[offset + 8:name_end].decode("utf-16-le").removesuffix("\0"),
            guid=str(uuid.UUID(bytes_le=data[name_end:name_end + 16])),
            attributes=struct.unpack_from("<I", data, name_end + 16)[0],
            data=data[name_end + 20:end]))
        offset = end + 4
        if len(variables) > DUMP_MAX_VARIABLES:
            raise AssertionError(f"dmpstore lists more than {DUMP_MAX_VARIABLES} variables")
    return variables


def encode_dump(variables: list[Variable]) -> bytes:
    """The reverse. `dmpstore -all -l` hands each to SetVariable, with its attributes as they are."""
    dump = b""
    for variable in variables:
        name = (variable.name + "\0").encode("utf-16-le")
        record = struct.pack("<II", len(name), len(variable.data)) + name
        record += uuid.UUID(variable.guid).bytes_le + struct.pack("<I", variable.attributes)
        record += variable.data
        dump += record + struct.pack("<I", zlib.crc32(record))
    return dump


def setvar(variable: Variable) -> str:
    """The shell's command that sets `variable`."""
    flags = {support.NON_VOLATILE: "-nv", support.BOOT_SERVICE: "-bs", support.RUNTIME: "-rt"}
    words = ["setvar", variable.name, "-guid", variable.guid]
    words += [flag for bit, flag in flags.items() if variable.attributes & bit]
    return " ".join(words + [f"=H{variable.data.hex()}"])


def boot(image: pathlib.Path, code=CODE_4M, commands=(), give_up_at: str | None = None,
         files: dict[str, pathlib.Path] | None = None) -> Boot:
    """Boots OVMF with `image` as its variable store, runs `commands` in its shell, dumps all
    variables and powers off. The firmware writes to the image as it would to its flash.

    `give_up_at`: text of the serial console at which the boot counts as ended although the shell
    did not run. `files`: what else is on the FAT drive, by its path there.
    """
    qemu = script_test.need_program("qemu-system-x86_64")
    mformat = script_test.need_program("mformat")
    mcopy = script_test.need_program("mcopy")
    script_test.need_file(code)
    with tempfile.TemporaryDirectory(prefix="efistore-ovmf-") as name:
        folder = pathlib.Path(name)
        script = folder / "startup.nsh"
        script.write_text("\r\n".join(
            ["@echo -off", "fs0:", *commands, "dmpstore -all -s dump.bin", "reset -s", ""]))
        fat = folder / "fat.img"
        script_test.run([mformat, "-i", fat, "-C", "-T", FAT_SIZE_SECTORS, "::"])
        script_test.run([mcopy, "-i", fat, script, "::/"])
        for path, file in (files or {}).items():
            _copy_to(fat, path, file)
        serial = _run_machine(qemu, code, image, fat, folder / "serial.txt", give_up_at)
        dump = folder / "dump.bin"
        copied = script_test.run([mcopy, "-i", fat, "::/dump.bin", dump], check=False)
        return Boot(serial, decode_dump(dump.read_bytes()) if copied.returncode == 0 else None)


def _copy_to(fat, path: str, file: pathlib.Path):
    mmd = script_test.need_program("mmd")
    mcopy = script_test.need_program("mcopy")
    script_test.need_file(file)
    for parent in reversed(pathlib.PurePosixPath(path).parents):
        if parent.name:
            script_test.run([mmd, "-D", "s", "-i", fat, f"::/{parent}"], check=False)
    script_test.run([mcopy, "-i", fat, file, f"::/{path}"])


def _run_machine(qemu, code, image, fat, serial, give_up_at) -> str:
    # Firmware with secure boot keeps its variables to code in system management mode.
    secure = code == CODE_4M_SECURE
    protection = ["-global", "driver=cfi.pflash01,property=secure,value=on",
                  "-global", "ICH9-LPC.disable_s3=1"] if secure else []
    machine = subprocess.Popen(
        [qemu, "-accel", "tcg", "-M", "q35,smm=on" if secure else "q35", *protection, "-m", "256", "-nodefaults", "-display", "none",
         "-net", "none", "-serial", f"file:{serial}",
         "-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={code}",
         "-drive", f"if=pflash,unit=1,format=raw,file={image}",
         "-drive", f"if=virtio,format=raw,file={fat}"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        _await_end(machine, serial, give_up_at)
    finally:
        machine.kill()
        errors = machine.communicate()[1].decode(errors="replace")
    text = serial.read_text(errors="replace") if serial.exists() else ""
    if machine.returncode > 0:
        raise AssertionError(f"QEMU ended with {machine.returncode}: {errors}\n{text}")
    return text


def _await_end(machine, serial, give_up_at):
    poll_s = 0.5
    for _ in range(int(BOOT_TIMEOUT_S / poll_s)):
        try:
            machine.wait(poll_s)
            return
        except subprocess.TimeoutExpired:
            if give_up_at and serial.exists() and give_up_at in serial.read_text(errors="replace"):
                return
    text = serial.read_text(errors="replace") if serial.exists() else ""
    raise AssertionError(f"OVMF did not power off within {BOOT_TIMEOUT_S} s:\n{text[-2000:]}")
