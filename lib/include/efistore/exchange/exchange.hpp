// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Variables in other programs' formats: pure functions from and to bytes. lib/SPEC.md has the
// formats. What a format cannot carry is listed, not dropped in silence.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "efistore/base/result.hpp"
#include "efistore/store/record.hpp"

namespace efistore::exchange {

/// Limits on what an importer takes. Above the first of them a ubootefi export leaves out what
/// remains.
inline constexpr std::size_t max_input_size_bytes = 64U << 20;
inline constexpr std::size_t max_variables = 65536;
/// Sentences in each list of losses; what goes beyond is counted in one more.
inline constexpr std::size_t max_losses = 1024;

struct Exported {
  std::vector<std::byte> bytes;
  /// One sentence per variable that the format could not carry, and `bytes` are without.
  std::vector<std::string> left_out;
  /// One sentence per field that the format could not carry of a variable that is in `bytes`.
  std::vector<std::string> losses;
};

struct Imported {
  std::vector<store::Variable> variables;
  /// One sentence per variable of the input that no store can hold, and `variables` are without.
  std::vector<std::string> left_out;
  /// One sentence per field of the input that a store cannot carry.
  std::vector<std::string> losses;
};

/// efistore's own JSON: lossless. `{"efistore":1,"variables":[{"name","guid","attributes","data",
/// "time"?,"monotonic_count"?,"public_key_index"?,"name_utf16"?}]}`, data in hex, `time` the raw
/// EFI_TIME in hex, `name_utf16` (hex, little-endian) where the name has a lone surrogate; `name`
/// then shows U+FFFD in its place. Fields that are zero are not written. Only what is no variable,
/// with a name that is empty or holds a NUL, is left out.
Exported export_json(std::span<const store::Variable> variables);
/// Errors: invalid_argument with the place ("variables[3].guid: …"): no JSON, wrong types, unknown
/// keys, keys given twice, duplicates of one variable, names that are empty or hold a NUL,
/// attributes 0xffffffff (a store reads them as an unfinished record), limits.
Result<Imported> import_json(std::span<const std::byte> bytes);

/// What python-uefivars calls the time: `timestamp`.
enum class TimeKey { time, timestamp };
struct QemuOptions {
  TimeKey time_key = TimeKey::time;
  /// Leaves out times that are all zero, as virt-fw-vars does; QEMU writes them.
  bool omit_zero_time = false;
};
/// QEMU's uefi-vars JSON, version 2. Left out: volatile variables, and names with a lone surrogate.
/// Losses: the meaning of other names beyond ASCII, which QEMU itself misreads; a time without the
/// attribute of time-based authentication; monotonic count and public key index.
Exported export_qemu(std::span<const store::Variable> variables, const QemuOptions& options = {});
/// Takes `time` and `timestamp`, present or not. Left out: volatile variables. Errors: as
/// import_json(), but that unknown keys are losses, and so are digests, attributes that no store
/// keeps, and a time without its attribute.
Result<Imported> import_qemu(std::span<const std::byte> bytes);

/// U-Boot's ubootefi.var. Left out: volatile variables, and what does not fit into a file of
/// max_input_size_bytes. Losses: of a time all but its seconds since 1970; a time without the
/// attribute of time-based authentication; monotonic count and public key index; attribute bit 31,
/// which has a meaning of its own there.
Exported export_ubootefi(std::span<const store::Variable> variables);
/// Left out: volatile variables. Losses: U-Boot's READ_ONLY (bit 31 of the attributes, for which
/// UEFI has no attribute and a store no place) and other attributes that no store keeps; a time
/// without its attribute; padding that is not zero.
///
/// Errors: invalid_argument with the offset and the field: magic, length, CRC, sizes, alignment,
/// names that are empty or do not end, times after the year 9999, duplicates of one variable,
/// limits.
Result<Imported> import_ubootefi(std::span<const std::byte> bytes);

}  // namespace efistore::exchange
