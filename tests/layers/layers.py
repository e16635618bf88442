#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Checks that every #include goes downwards through the layers of lib/.

usage: layers.py SOURCE_DIRECTORY

Prints one line per violation and ends with exit status 1 if there is any.
"""

import pathlib
import re
import sys

# Bottom-up: each layer with the layers that it may include. A layer that is not in this table must
# not exist, so that a new one gets its place when it comes.
MAY_INCLUDE = {
    "base": {"base"},
    "crypto": {"crypto", "base"},
    "capsule": {"capsule", "crypto", "base"},
    "flash": {"flash", "base"},
    "store": {"store", "flash", "base"},
    "variable": {"variable", "crypto", "store", "flash", "base"},
    "update": {"update", "capsule", "variable", "crypto", "store", "flash", "base"},
    "mm": {"mm", "variable", "store", "base"},
    "runtime": {"runtime", "mm", "variable", "store", "base"},
    "exchange": {"exchange", "store", "flash", "base"},
}
PUBLIC_DIR = pathlib.PurePath("lib/include/efistore")
# Programs over the library: they see its public headers and their own files.
PROGRAM_DIRS = ["tools", "efivarfs-shim"]
SOURCE_SUFFIXES = {".c", ".cpp", ".h", ".hpp"}

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^">\n]+)[">]', re.MULTILINE)


def sources(folder: pathlib.Path):
    return sorted(path for path in folder.rglob("*") if path.suffix in SOURCE_SUFFIXES)


def includes(path: pathlib.Path):
    """Pairs of line number and included path, of every include but those of foreign headers."""
    text = path.read_text(encoding="utf-8")
    for match in INCLUDE.finditer(text):
        if match[1] == '"' or match[2].startswith("efistore/"):
            yield text.count("\n", 0, match.start(2)) + 1, match[2]


def check_layer_file(root: pathlib.Path, path: pathlib.Path, layer: str, home: pathlib.Path):
    """Violations of one file of `layer`; `home` is the folder of the layer's private headers."""
    for line, included in includes(path):
        place = f"{path.relative_to(root)}:{line}"
        parts = pathlib.PurePath(included).parts
        if parts[0] == "efistore":
            target = parts[1] if len(parts) > 2 else None
            if target not in MAY_INCLUDE[layer]:
                yield f'{place}: layer "{layer}" must not include "{included}"'
            elif not (root / "lib/include" / included).is_file():
                yield f'{place}: there is no public header "{included}"'
        elif ".." in parts or not ((home / included).is_file() or
                                   (path.parent / included).is_file()):
            yield f'{place}: "{included}" is not a private header of layer "{layer}"'


def check_library(root: pathlib.Path):
    for base in (root / "lib", root / PUBLIC_DIR):
        for folder in sorted(path for path in base.iterdir() if path.is_dir()):
            if folder == root / "lib/include":
                continue
            if folder.name not in MAY_INCLUDE:
                if sources(folder):
                    yield f"{folder.relative_to(root)}: no layer of this name is in the table"
                continue
            home = root / "lib" / folder.name
            for path in sources(folder):
                yield from check_layer_file(root, path, folder.name, home)


def check_programs(root: pathlib.Path):
    for name in PROGRAM_DIRS:
        for path in sources(root / name):
            for line, included in includes(path):
                if pathlib.PurePath(included).parts[0] == "efistore":
                    seen = (root / "lib/include" / included).is_file()
                else:
                    candidates = [path.parent / included, root / name / included,
                                  *(root / other / included for other in PROGRAM_DIRS)]
                    seen = ".." not in pathlib.PurePath(included).parts and any(
                        candidate.is_file() for candidate in candidates)
                if not seen:
                    yield (f'{path.relative_to(root)}:{line}: "{included}" is neither a public '
                           "header of the library nor a file of the programs")


def violations(root: pathlib.Path) -> list[str]:
    return [*check_library(root), *check_programs(root)]


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    root = pathlib.Path(sys.argv[1]).resolve()
    if not sources(root / "lib"):
        sys.exit(f"layers.py: there are no sources in {root / 'lib'}")
    found = violations(root)
    for violation in found:
        print(violation)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
