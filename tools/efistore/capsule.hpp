// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// What the capsule commands share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "efistore/base/guid.hpp"
#include "efistore/capsule/capsule.hpp"
#include "efistore/capsule/source.hpp"

#include "command.hpp"

namespace efistore::tools {

/// Of a capsule, and of a file that goes into one.
inline constexpr std::size_t max_capsule_file_size_bytes = std::size_t{256} << 20;

void add_capsule_apply(CLI::App& parent, Action& action);
void add_capsule_inspect(CLI::App& parent, Action& action);
void add_capsule_create(CLI::App& parent, Action& action);
void add_capsule_sign(CLI::App& parent, Action& action);
void add_capsule_verify(CLI::App& parent, Action& action);

/// A capsule that was read, in memory.
class CapsuleFile {
 public:
  /// The capsule in the file at `path`, "-" for standard input.
  static Outcome<CapsuleFile> read(const std::string& path);

  const std::string& path() const noexcept { return path_; }
  const capsule::Capsule& capsule() const noexcept { return capsule_; }
  std::uint64_t size() const noexcept { return bytes_.size(); }
  /// Valid as long as this is.
  capsule::MemorySource source() const noexcept { return capsule::MemorySource(bytes_); }

 private:
  CapsuleFile(std::string path, std::vector<std::byte> bytes, capsule::Capsule capsule)
      : path_(std::move(path)), bytes_(std::move(bytes)), capsule_(std::move(capsule)) {}

  std::string path_;
  std::vector<std::byte> bytes_;
  capsule::Capsule capsule_;
};

/// Where a new capsule is written.
struct CapsuleOutput {
  std::string path;
  bool force = false;

  void add_to(CLI::App& command);
  Outcome<void> write(std::span<const std::byte> capsule) const;
};

/// A number that an option was given, decimal or with 0x, from 0 to `most`; anything else is wrong
/// usage.
struct NumberArgument {
  std::string_view option;
  std::string_view text;
  std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
};
Outcome<std::uint64_t> parse_number(const NumberArgument& argument);

/// A GUID that an option was given.
Outcome<Guid> parse_guid(std::string_view option, std::string_view text);

/// Flags of a capsule: persist, populate, reset, and the rest as a number, with commas between;
/// "0" for none.
std::string capsule_flags_to_string(std::uint32_t flags);
/// The inverse; none for anything else.
std::optional<std::uint32_t> capsule_flags_from_string(std::string_view text);

}  // namespace efistore::tools
