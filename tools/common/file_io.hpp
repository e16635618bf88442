// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Whole files and standard streams, as commands read and write them.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/outcome.hpp"

namespace efistore::tools {

/// The content of the file at `path`, or of standard input for "-".
/// Fails if it cannot be read or has more than `limit_bytes`.
Outcome<std::vector<std::byte>> read_input(const std::string& path, std::size_t limit_bytes);

/// Writes `data` to the file at `path`: to a temporary file beside it, which takes its place once
/// it is on disk, so that the file is there as a whole or as it was. A file that is replaced passes
/// on its permissions, a new one gets those of the umask. Symbolic links are followed; what is no
/// regular file (/dev/stdout, a FIFO) is written directly.
Outcome<void> write_file(const std::string& path, std::span<const std::byte> data);

/// Writes `data` to a new file at `path`. When it returns, the file and its name are on disk. Where
/// it fails, there is no such file. Fails if anything is at `path`, a symbolic link that leads
/// nowhere included.
Outcome<void> create_file(const std::string& path, std::span<const std::byte> data);

/// What becomes of a file that has the name of a new one.
enum class IfThere { fail, replace };

/// Writes `data` to the file at `path`, which must be new unless it may be replaced: to a temporary
/// file beside it, which gets that name once it is on disk. Fails if anything is at `path` that
/// must not be replaced, a symbolic link that leads nowhere included; what is there stays.
Outcome<void> write_file(const std::string& path, std::span<const std::byte> data,
                         IfThere if_there);

/// Writes `data` to standard output as it is.
/// Fails if standard output is a terminal, which might take some of the bytes as commands, or
/// cannot be written.
Outcome<void> write_raw_output(std::span<const std::byte> data);

/// Writes `text`, which the caller has escaped where needed, to standard output.
void print(std::string_view text);

/// Pushes out what print() has buffered; fails if any of it could not be written.
Outcome<void> flush_output();

}  // namespace efistore::tools
