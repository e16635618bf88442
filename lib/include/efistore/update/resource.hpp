// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Firmware resources: what of this machine can be updated, where it is, and who may. They come from
// TOML files, one for each; the keys are in efistore-firmware(5).
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "efistore/base/guid.hpp"
#include "efistore/base/result.hpp"
#include "efistore/capsule/fmp_capsule.hpp"
#include "efistore/crypto/certificate.hpp"

namespace efistore::update {

/// Of all files, and of each.
inline constexpr std::size_t max_resources = 128;
inline constexpr std::uintmax_t max_resource_file_size_bytes = 65536;
inline constexpr std::size_t max_extents = 16;
inline constexpr std::size_t max_trusted_certificates = 16;

/// A part of a flash device.
struct Extent {
  std::string device;                         ///< as flash::open_device() takes it
  std::uint64_t offset = 0;                   ///< a multiple of the erase block
  std::optional<std::uint64_t> size_bytes{};  ///< all from `offset` on without one

  friend bool operator==(const Extent&, const Extent&) = default;
};

/// A firmware's place: its bytes go through the extents in their order.
using Target = std::vector<Extent>;

enum class Scheme {
  single,  ///< written in place
  ab,      ///< the bank that is not booted is written, then FWU metadata name it
};

/// Where FWU metadata are; resources with the same are switched together.
struct FwuLocation {
  std::array<Extent, 2> metadata;
  /// How often a bank on trial is booted before the previous one is; 0: somebody else counts.
  unsigned max_trial_boots = 3;

  friend bool operator==(const FwuLocation&, const FwuLocation&) = default;
};

/// Where the running version comes from.
struct VersionSource {
  enum class Kind {
    recorded,  ///< FmpState's: the version that was written last
    fixed,
    file,  ///< the first number in a file, decimal or with 0x
  } kind = Kind::recorded;
  std::uint32_t version = 0;  ///< if fixed; if recorded, before anything was
  std::filesystem::path file{};
};

/// A program that runs before or after firmware is written.
struct Hooks {
  std::vector<std::string> before{};  ///< program, arguments; empty: none
  std::vector<std::string> after{};
  std::chrono::seconds timeout{60};
};

struct Resource {
  Guid type_id;
  std::uint8_t index = 1;
  std::uint64_t hardware_instance = 0;
  std::string name;
  std::string vendor{};
  std::uint32_t fw_type = 0;  ///< of ESRT
  std::uint32_t capsule_flags = 0;
  Scheme scheme = Scheme::single;
  std::vector<Target> banks{};  ///< one if single
  std::optional<FwuLocation> fwu{};
  VersionSource version{};
  std::uint32_t lowest_supported_version = 0;
  capsule::ImageForm form{};
  std::vector<crypto::Certificate> trusted{};
  /// Whether other resources may trust the same certificates. Nobody signs what a payload is for,
  /// so one that was made for one of them can be brought as one for another.
  bool shares_certificates = false;
  /// Whether the first block is erased first and written last also where it does not change.
  bool guard_first_block = false;
  Hooks hooks{};
  std::filesystem::path file{};  ///< where it is described
};

/// The resource that a TOML text describes. Certificates are read relative to `file`, which is
/// otherwise only named in errors.
/// Errors: invalid_argument, as "FILE:LINE: reason"; those of reading a certificate.
Result<Resource> parse_resource(const std::filesystem::path& file, std::string_view text);

/// Those of all files "*.toml" in a folder, in the order of their names. A folder that is not there
/// has none.
/// Errors: those of parse_resource(); invalid_argument for two of the same type, index and
/// instance, and for targets that overlap; io.
Result<std::vector<Resource>> load_resources(const std::filesystem::path& folder);

}  // namespace efistore::update
