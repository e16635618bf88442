// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "load_option.hpp"

#include <array>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

// libefivar's headers leave the linkage to their user.
extern "C" {
#include <efivar/efivar.h>
}

#include "efistore/base/bytes.hpp"
#include "efistore/base/ucs2.hpp"

#include "common/confined.hpp"

namespace efistore::tools {

namespace {

struct Free {
  void operator()(char* text) const noexcept { std::free(text); }
};
using MallocedText = std::unique_ptr<char, Free>;

/// No firmware makes text of this size of a device path.
constexpr std::size_t max_path_text_size = 4096;

bool is_hex_digit(char16_t c) {
  return (c >= u'0' && c <= u'9') || (c >= u'A' && c <= u'F') || (c >= u'a' && c <= u'f');
}

/// True if `path` is a chain of nodes that ends with its last byte, in an end-entire node. A load
/// option's list may hold several such paths one after the other.
bool is_path_list(std::span<const std::byte> path) {
  ByteReader reader(path);
  bool ended = false;
  while (reader.remaining() != 0) {
    const auto node = next_device_path_node(reader);
    if (!node) return false;
    ended = node->is_end();
  }
  return ended;
}

}  // namespace

std::optional<std::string> guid_name(const Guid& guid) {
  efi_guid_t raw;
  static_assert(sizeof raw == sizeof guid.bytes);
  std::memcpy(&raw, guid.bytes.data(), sizeof raw);
  // For a GUID that it does not know, efi_guid_to_name() gives its digits, efi_guid_to_symbol()
  // an error.
  char* symbol = nullptr;
  const bool known = efi_guid_to_symbol(&raw, &symbol) >= 0;
  const MallocedText symbol_owner(symbol);
  if (!known) return std::nullopt;
  char* name = nullptr;
  const bool named = efi_guid_to_name(&raw, &name) >= 0;
  const MallocedText name_owner(name);
  if (!named || name == nullptr) return std::nullopt;
  return std::string(name);
}

bool is_load_option_name(std::u16string_view name, const Guid& guid) {
  if (guid != guids::global_variable) return false;
  constexpr std::size_t digits = 4;
  if (name.size() < digits) return false;
  for (const char16_t c : name.substr(name.size() - digits)) {
    if (!is_hex_digit(c)) return false;
  }
  name.remove_suffix(digits);
  return name == u"Boot" || name == u"Driver" || name == u"SysPrep" || name == u"PlatformRecovery";
}

std::optional<LoadOption> parse_load_option(std::span<const std::byte> data) {
  const auto option = split_load_option(data);
  return option && is_path_list(option->file_path) ? option : std::nullopt;
}

std::string description_text(const LoadOption& option) {
  std::u16string text(option.description.size() / sizeof(char16_t), u'\0');
  ByteReader reader(option.description);
  for (char16_t& unit : text) unit = reader.u16();
  return to_utf8(text);
}

std::optional<std::string> format_device_path(std::span<const std::byte> path) {
  // libefivar takes a mutable and aligned path and, for some nodes, reads a little further than
  // they reach: it gets a copy with zeros behind.
  constexpr std::size_t slack = 64;
  std::vector<std::byte> copy(path.begin(), path.end());
  copy.resize(path.size() + slack);
  return run_confined(
      [&copy, size = path.size()]() -> std::optional<std::string> {
        void* const raw = copy.data();
        const auto* const first = static_cast<const efidp_data*>(raw);
        std::array<char, max_path_text_size> text{};
        const ssize_t length =
            efidp_format_device_path(text.data(), text.size(), first, static_cast<ssize_t>(size));
        if (length <= 0) return std::nullopt;
        return std::string(text.data(), strnlen(text.data(), text.size()));
      },
      {.output_limit_bytes = max_path_text_size});
}

}  // namespace efistore::tools
