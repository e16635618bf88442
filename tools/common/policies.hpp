// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// The policies that are kept beside a store, "IMAGE.policy" or /var/lib/efistore/NAME.policy: on a
// board without UEFI nobody registers them at boot.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "efistore/base/guid.hpp"
#include "efistore/base/result.hpp"
#include "efistore/flash/device.hpp"
#include "efistore/variable/policy_file.hpp"

#include "common/outcome.hpp"

namespace efistore::tools {

inline constexpr const char* boot_id_file = "/proc/sys/kernel/random/boot_id";

/// The file of the store on the device that was opened for `locator`. Of an image that is called by
/// a symbolic link it is that beside the image.
std::filesystem::path policy_path(const std::string& locator, const flash::Device& device);

/// What names this boot. Errors: those of reading the file; damaged.
Result<Guid> read_boot_id(const std::filesystem::path& file = boot_id_file);

/// The file's content; without a file there is none.
/// Errors: damaged, permission, io; the message names the file.
Result<variable::PolicyFile> load_policy_file(const std::filesystem::path& path);

/// Replaces the file at once; makes the folder of those of MTD devices.
Outcome<void> save_policy_file(const std::filesystem::path& path, const variable::PolicyFile& file);

/// Whether the interface is locked. Errors: those of read_boot_id(), if it was locked in any boot.
Result<bool> is_locked(const variable::PolicyFile& file,
                       const std::filesystem::path& boot_id = boot_id_file);

/// What services that may write are to start with.
/// Errors: as load_policy_file(). Who gets one must not write variables.
Result<std::vector<variable::Policy>> policies_of(const std::string& locator,
                                                  const flash::Device& device);

}  // namespace efistore::tools
