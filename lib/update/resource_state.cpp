// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "resource_state.hpp"

#include <fmt/format.h>
#include <fmt/xchar.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <fstream>
#include <string_view>

#include "efistore/base/bytes.hpp"
#include "efistore/update/bank_switch.hpp"

namespace efistore::update {

namespace {

/// The digest of the capsule whose update is being closed.
constexpr std::u16string_view done_name = u"FmpUpdateDone";

}  // namespace

Result<capsule::FmpState> load_fmp_state(Variables& variables, const Resource& resource) {
  const auto data = variables.get(
      capsule::fmp_state_name(resource.hardware_instance, resource.index), resource.type_id);
  if (!data) return tl::unexpected(data.error());
  if (!*data) return capsule::FmpState();
  return capsule::parse_fmp_state(**data).value_or(capsule::FmpState());
}

Status save_fmp_state(Variables& variables, const Resource& resource,
                      const capsule::FmpState& state) {
  return variables.set(capsule::fmp_state_name(resource.hardware_instance, resource.index),
                       resource.type_id, capsule::encode_fmp_state(state));
}

Result<std::uint32_t> running_version(const Resource& resource, const capsule::FmpState& state) {
  const VersionSource& source = resource.version;
  if (source.kind == VersionSource::Kind::fixed) return source.version;
  if (source.kind == VersionSource::Kind::recorded) return state.version.value_or(source.version);
  std::ifstream file(source.file, std::ios::binary);
  std::array<char, 256> buffer{};
  file.read(buffer.data(), buffer.size());
  std::string_view text(buffer.data(), static_cast<std::size_t>(file.gcount()));
  const auto digit =
      std::ranges::find_if(text, [](unsigned char c) { return std::isdigit(c) != 0; });
  text.remove_prefix(static_cast<std::size_t>(digit - text.begin()));
  const bool hexadecimal = text.starts_with("0x") || text.starts_with("0X");
  if (hexadecimal) text.remove_prefix(2);
  std::uint32_t version = 0;
  const auto [_, error] =
      std::from_chars(text.data(), text.data() + text.size(), version, hexadecimal ? 16 : 10);
  if (error != std::errc()) {
    return fail(Errc::invalid_argument,
                fmt::format("{}: no version of 32 bits stands in its first {} bytes",
                            source.file.string(), buffer.size()));
  }
  return version;
}

std::uint32_t lowest_supported_version(const Resource& resource, const capsule::FmpState& state) {
  return std::max(resource.lowest_supported_version, state.lowest_supported_version.value_or(0));
}

namespace {

std::u16string bank_version_name(const Resource& resource, std::size_t bank) {
  return capsule::state_variable_name(fmt::format(u"FmpBankVersion{}", bank),
                                      resource.hardware_instance, resource.index);
}

}  // namespace

Result<std::optional<std::uint32_t>> load_bank_version(Variables& variables,
                                                       const Resource& resource, std::size_t bank) {
  const auto data = variables.get(bank_version_name(resource, bank), resource.type_id);
  if (!data) return tl::unexpected(data.error());
  if (!*data || (*data)->size() != sizeof(std::uint32_t)) return std::optional<std::uint32_t>();
  return std::optional(ByteReader(**data).u32());
}

Status save_bank_version(Variables& variables, const Resource& resource, std::size_t bank,
                         std::uint32_t version) {
  std::array<std::byte, sizeof version> data;
  ByteWriter(data).u32(version);
  return variables.set(bank_version_name(resource, bank), resource.type_id, data);
}

Result<std::optional<Journal>> load_journal(Variables& variables, const Resource& resource,
                                            std::size_t bank) {
  const auto data = variables.get(journal_name(bank, resource.hardware_instance, resource.index),
                                  resource.type_id);
  if (!data) return tl::unexpected(data.error());
  if (!*data) return std::optional<Journal>();
  auto journal = parse_journal(**data);
  if (!journal) return std::optional<Journal>();
  return std::optional(*std::move(journal));
}

Status save_journal(Variables& variables, const Resource& resource, std::size_t bank,
                    const Journal& journal) {
  return variables.set(journal_name(bank, resource.hardware_instance, resource.index),
                       resource.type_id, encode_journal(journal));
}

Status remove_journal(Variables& variables, const Resource& resource, std::size_t bank) {
  return variables.set(journal_name(bank, resource.hardware_instance, resource.index),
                       resource.type_id, {});
}

Status close_update(std::span<const Resource> resources, Variables& variables,
                    const crypto::Digest& capsule) {
  Status remembered = variables.set(done_name, guids::update_state, capsule);
  if (!remembered) return remembered;
  return finish_closing(resources, variables);
}

Status finish_closing(std::span<const Resource> resources, Variables& variables) {
  const auto done = variables.get(done_name, guids::update_state);
  if (!done) return tl::unexpected(done.error());
  if (!*done) return {};
  for (const Resource& resource : resources) {
    for (std::size_t bank = 0; bank < resource.banks.size(); ++bank) {
      const auto journal = load_journal(variables, resource, bank);
      if (!journal) return tl::unexpected(journal.error());
      if (!*journal || !equal_bytes((*journal)->capsule, **done)) continue;
      if (Status removed = remove_journal(variables, resource, bank); !removed) return removed;
    }
  }
  return variables.set(done_name, guids::update_state, {});
}

}  // namespace efistore::update
