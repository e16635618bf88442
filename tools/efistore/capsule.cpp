// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// capsule: firmware updates as files.
#include "capsule.hpp"

#include <fmt/format.h>

#include <CLI/App.hpp>
#include <array>
#include <charconv>
#include <utility>

#include "common/file_io.hpp"

namespace efistore::tools {

namespace {

constexpr const char* footer =
    R"(A capsule is a file that brings firmware to a machine (UEFI 2.10, 23.3). Only apply needs a store.

Examples:
  efistore capsule inspect firmware.cap
  efistore capsule verify firmware.cap --trusted root.crt
`efistore capsule COMMAND --help` has the options of each.)";

struct FlagName {
  std::uint32_t flag;
  std::string_view name;
};
constexpr std::array flag_names{
    FlagName{capsule::flags::persist_across_reset, "persist"},
    FlagName{capsule::flags::populate_system_table, "populate"},
    FlagName{capsule::flags::initiate_reset, "reset"},
};

/// Decimal, or hexadecimal with 0x; none for anything else.
std::optional<std::uint64_t> number_from(std::string_view text) {
  const bool hexadecimal = text.starts_with("0x") || text.starts_with("0X");
  if (hexadecimal) text.remove_prefix(2);
  std::uint64_t value = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), value, hexadecimal ? 16 : 10);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<std::uint32_t> flag_from(std::string_view text) {
  for (const FlagName& each : flag_names) {
    if (each.name == text) return each.flag;
  }
  const auto number = number_from(text);
  if (!number || *number > std::numeric_limits<std::uint32_t>::max()) return std::nullopt;
  return static_cast<std::uint32_t>(*number);
}

}  // namespace

Outcome<CapsuleFile> CapsuleFile::read(const std::string& path) {
  auto bytes = read_input(path, max_capsule_file_size_bytes);
  if (!bytes) return tl::unexpected(std::move(bytes).error());
  std::string name = path == "-" ? "standard input" : path;
  auto capsule = capsule::parse_capsule(capsule::MemorySource(*bytes));
  if (!capsule) return fail_with(fmt::format("{}: {}", name, capsule.error().message));
  return CapsuleFile(std::move(name), std::move(*bytes), std::move(*capsule));
}

void CapsuleOutput::add_to(CLI::App& command) {
  command.add_option("-o,--output", path, "The new capsule")->type_name("FILE")->required();
  command.add_flag("--force", force, "Replace the file, if there is one");
}

Outcome<void> CapsuleOutput::write(std::span<const std::byte> capsule) const {
  return write_file(path, capsule, force ? IfThere::replace : IfThere::fail);
}

Outcome<std::uint64_t> parse_number(const NumberArgument& argument) {
  const auto number = number_from(argument.text);
  if (!number || *number > argument.most) {
    return fail_usage(fmt::format("{}: \"{}\" is no number from 0 to {}", argument.option,
                                  argument.text, argument.most));
  }
  return *number;
}

Outcome<Guid> parse_guid(std::string_view option, std::string_view text) {
  const auto guid = Guid::parse(text);
  if (!guid) return fail_usage(fmt::format("{}: \"{}\" is no GUID", option, text));
  return *guid;
}

std::string capsule_flags_to_string(std::uint32_t flags) {
  std::string text;
  for (const FlagName& each : flag_names) {
    if ((flags & each.flag) == 0) continue;
    text += fmt::format("{}{}", text.empty() ? "" : ",", each.name);
    flags &= ~each.flag;
  }
  if (flags != 0) text += fmt::format("{}{:#x}", text.empty() ? "" : ",", flags);
  return text.empty() ? "0" : text;
}

std::optional<std::uint32_t> capsule_flags_from_string(std::string_view text) {
  std::uint32_t flags = 0;
  while (true) {
    const auto comma = text.find(',');
    const auto flag = flag_from(text.substr(0, comma));
    if (!flag) return std::nullopt;
    flags |= *flag;
    if (comma == std::string_view::npos) return flags;
    text.remove_prefix(comma + 1);
  }
}

void add_capsule(CLI::App& app, Action& action) {
  auto* const command = app.add_subcommand("capsule", "Make, examine and apply firmware updates");
  command->require_subcommand(1);
  command->group("Commands");
  command->get_formatter()->label("SUBCOMMAND", "COMMAND");
  command->footer(footer);
  for (const auto add : {add_capsule_inspect, add_capsule_create, add_capsule_sign,
                         add_capsule_verify, add_capsule_apply}) {
    add(*command, action);
  }
}

}  // namespace efistore::tools
