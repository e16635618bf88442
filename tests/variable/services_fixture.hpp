// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// The variable services over a store in memory whose writes are recorded.
#pragma once

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "efistore/base/attributes.hpp"
#include "efistore/flash/memory_device.hpp"
#include "efistore/variable/services.hpp"

#include "store/recording_device.hpp"
#include "store/store_fixture.hpp"

namespace efistore {

/// For GoogleTest's messages: "EFI_NOT_FOUND".
void PrintTo(EfiStatus status, std::ostream* out);

namespace test {

// Attributes as the tables of the specification shorten them.
inline constexpr std::uint32_t nv = attributes::non_volatile;
inline constexpr std::uint32_t bs = attributes::bootservice_access;
inline constexpr std::uint32_t rt = attributes::runtime_access;
inline constexpr std::uint32_t hr = attributes::hardware_error_record;
inline constexpr std::uint32_t aw = attributes::authenticated_write_access;
inline constexpr std::uint32_t at = attributes::time_based_authenticated_write_access;
inline constexpr std::uint32_t ap = attributes::append_write;
inline constexpr std::uint32_t nv_bs = nv | bs;
inline constexpr std::uint32_t bs_rt = bs | rt;
inline constexpr std::uint32_t nv_bs_rt = nv | bs | rt;
inline constexpr std::uint32_t error_record = nv_bs_rt | hr;

/// Each limit differs from the others, so that a test sees which one was taken.
variable::Limits distinct_limits();

/// Bytes for records in the store of a fixture, whose variables area is one block of 4 KiB.
inline constexpr std::uint32_t store_capacity = 0x1000 - first_record;

/// Bytes of a record in flash, padding included.
std::uint32_t padded_size(std::u16string_view name, std::size_t data_size,
                          store::RecordFormat format = store::RecordFormat::authenticated);

/// An EFI_VARIABLE_AUTHENTICATION_2 with an empty signature, and `payload` behind it.
std::string unsigned_auth2(std::string_view payload);

/// What a fixture's store is, and how it is served.
struct StoreSetup {
  variable::Options options{};
  store::RecordFormat format = store::RecordFormat::authenticated;
};

class ServicesTest : public testing::Test {
 protected:
  /// Formats a store of three blocks and opens it.
  void start(const StoreSetup& setup = {});
  /// Opens this image.
  void start_from(Bytes image, const variable::Options& options = {});
  /// What a reboot does: opens the flash as it is now.
  void restart(const variable::Options& options = {});

  EfiStatus set(std::u16string_view name, std::uint32_t attributes, std::string_view data,
                const Guid& guid = vendor);
  EfiStatus set_global(std::u16string_view name, std::uint32_t attributes, std::string_view data) {
    return set(name, attributes, data, guids::global_variable);
  }
  /// The variable's data, or its status' name.
  std::string get(std::u16string_view name, const Guid& guid = vendor) const;
  std::string get_global(std::u16string_view name) const {
    return get(name, guids::global_variable);
  }
  /// "A=1 B=2": all visible variables in the order of GetNextVariableName.
  std::string listing() const;

  variable::Services& services() { return *services_; }
  const variable::Services& services() const { return *services_; }
  /// Program and erase operations since the last call.
  std::vector<std::string> writes() { return flash_->take(); }
  Bytes image() const { return {memory_->content().begin(), memory_->content().end()}; }

 private:
  std::optional<variable::Services> services_;
  flash::MemoryDevice* memory_ = nullptr;
  RecordingDevice* flash_ = nullptr;
};

}  // namespace test
}  // namespace efistore
