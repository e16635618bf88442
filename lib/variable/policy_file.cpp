// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/variable/policy_file.hpp"

#include <fmt/format.h>

#include <string_view>

#include "efistore/base/crc32.hpp"

namespace efistore::variable {

namespace {

constexpr std::string_view magic = "efipolcy";
constexpr std::uint32_t file_version = 1;
constexpr std::size_t summed_offset = 16;
constexpr std::size_t header_size = 32;
static_assert(max_policy_file_size_bytes == header_size + max_policy_table_size_bytes);

tl::unexpected<Error> fail_damaged(std::string message) {
  return fail(Errc::damaged, std::move(message));
}

/// The table with these policies, or why it does not take them.
Result<PolicyTable> table_of(std::span<const Policy> policies) {
  PolicyTable table;
  for (const Policy& policy : policies) {
    if (auto done = table.register_policy(policy); !done) {
      return fail(Errc::invalid_argument, std::move(done).error().reason);
    }
  }
  return table;
}

}  // namespace

Result<PolicyFile> read_policy_file(std::span<const std::byte> bytes) {
  if (bytes.size() < header_size || bytes.size() > max_policy_file_size_bytes) {
    return fail_damaged(fmt::format("{} bytes, expected from {} to {}", bytes.size(), header_size,
                                    max_policy_file_size_bytes));
  }
  ByteReader reader(bytes);
  if (!equal_bytes(reader.take(magic.size()), as_bytes(magic))) {
    return fail_damaged(fmt::format("Magic at offset 0: expected \"{}\"", magic));
  }
  if (const std::uint32_t version = reader.u32(); version != file_version) {
    return fail_damaged(fmt::format("Version at offset 8: {}, expected {}", version, file_version));
  }
  const std::uint32_t sum = reader.u32();
  if (const std::uint32_t actual = crc32(bytes.subspan(summed_offset)); sum != actual) {
    return fail_damaged(fmt::format("Crc at offset 12: {:#010x}, expected {:#010x}", sum, actual));
  }
  PolicyFile file;
  const Guid boot = Guid::from_bytes(reader.take(16));
  if (boot != Guid{}) file.locked_in_boot = boot;
  auto policies = read_policies(bytes.subspan(header_size));
  if (!policies) return fail_damaged("Entries at offset 32: " + policies.error().message);
  if (const auto table = table_of(*policies); !table) {
    return fail_damaged("Entries at offset 32: " + table.error().message);
  }
  file.policies = std::move(*policies);
  return file;
}

Result<std::vector<std::byte>> encode_policy_file(const PolicyFile& file) {
  const auto table = table_of(file.policies);
  if (!table) return forward(Result<PolicyTable>(table));
  std::vector<std::byte> bytes(header_size);
  const auto entries = table->dump();
  bytes.insert(bytes.end(), entries.begin(), entries.end());
  ByteWriter(std::span(bytes).subspan(summed_offset))
      .bytes(file.locked_in_boot.value_or(Guid{}).bytes);
  ByteWriter writer(bytes);
  writer.bytes(as_bytes(magic));
  writer.u32(file_version);
  writer.u32(crc32(std::span(bytes).subspan(summed_offset)));
  return bytes;
}

}  // namespace efistore::variable
