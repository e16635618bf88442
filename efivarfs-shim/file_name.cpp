// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "file_name.hpp"

#include <algorithm>
#include <array>

#include "efistore/base/ucs2.hpp"
#include "efistore/variable/variable_id.hpp"

namespace efistore::shim {
namespace {

using namespace literals;

constexpr Guid linux_random_seed = "1ce1e5bc-7ceb-42f2-81e5-8aadf180f57b"_guid;
/// Where the kernel's pstore keeps the records of a crash.
constexpr Guid linux_crash = "cfc8fc79-be2e-4ddc-97f0-9f98bfe298a0"_guid;

/// Global variables with a fixed name that may be lost without the board becoming unbootable.
constexpr std::array<std::string_view, 10> replaceable_names{
    "ConIn",     "ConInDev", "ConOut",        "ConOutDev",    "ErrOut",
    "ErrOutDev", "Lang",     "OsIndications", "PlatformLang", "Timeout"};
/// And those of any number: Boot0000, BootOrder, BootNext, Driver0000, DriverOrder.
constexpr std::array<std::string_view, 2> replaceable_prefixes{"Boot", "Driver"};

}  // namespace

std::optional<FileName> parse_file_name(std::string_view text) noexcept {
  if (text.size() < guid_text_size + 2) return std::nullopt;
  const std::size_t guid_at = text.size() - guid_text_size;
  if (text[guid_at - 1] != '-') return std::nullopt;
  const auto guid = Guid::parse(text.substr(guid_at));
  if (!guid) return std::nullopt;
  return FileName{text.substr(0, guid_at - 1), *guid};
}

std::u16string widen(std::string_view bytes) {
  std::u16string name(bytes.size(), u'\0');
  std::transform(bytes.begin(), bytes.end(), name.begin(),
                 [](char c) { return static_cast<char16_t>(static_cast<unsigned char>(c)); });
  return name;
}

std::string file_name_of(std::u16string_view name, const Guid& guid) {
  std::string file_name = variable::to_string(name, guid);
  std::replace(file_name.begin(), file_name.end(), '/', '!');
  return file_name;
}

bool is_hidden(const Guid& guid) noexcept {
  return guid == linux_random_seed;
}

bool is_born_immutable(std::string_view name, const Guid& guid) noexcept {
  if (guid == linux_crash) return false;
  if (guid != guids::global_variable) return true;
  const bool replaceable =
      std::find(replaceable_names.begin(), replaceable_names.end(), name) !=
          replaceable_names.end() ||
      std::any_of(replaceable_prefixes.begin(), replaceable_prefixes.end(),
                  [name](std::string_view prefix) { return name.starts_with(prefix); });
  return !replaceable;
}

}  // namespace efistore::shim
