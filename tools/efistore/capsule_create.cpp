// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// capsule create: a capsule from firmware images, or one that accepts or reverts an update.
#include <fmt/format.h>

#include <CLI/App.hpp>
#include <array>
#include <limits>
#include <map>
#include <memory>
#include <vector>

#include "efistore/capsule/build.hpp"
#include "efistore/capsule/dependency.hpp"

#include "capsule.hpp"
#include "common/file_io.hpp"

namespace efistore::tools {

namespace {

constexpr const char* footer =
    R"(Options of a payload stand behind its --payload: --type, and unless there is --no-header --version
and --lowest-supported. Numbers are decimal or hexadecimal with 0x. EXPR is an expression as EDK2's
GenerateCapsule has it: GUID >= VERSION with ==, >, >=, <, <=, && || ~ ( ) TRUE FALSE; its versions
are always hexadecimal. What is made is not signed: `efistore capsule sign` does that.

Examples:
  efistore capsule create -o new.cap --payload fw.bin --type 6f5f2bd5-3e5b-4b0c-9c5d-2c9a4e4c1a01 --version 0x20001 --lowest-supported 1
  efistore capsule create -o new.cap --payload u-boot.bin --type 6f5f2bd5-3e5b-4b0c-9c5d-2c9a4e4c1a01 --no-header
  efistore capsule create -o accept.cap --accept 6f5f2bd5-3e5b-4b0c-9c5d-2c9a4e4c1a01
  efistore capsule create -o revert.cap --revert)";

constexpr std::uint32_t max_header_size = 65536;

/// What was given for one payload, by the names of the options.
struct PayloadArguments {
  std::string file;
  std::map<std::string, std::string> values;

  const std::string* find(const std::string& option) const {
    const auto found = values.find(option);
    return found == values.end() ? nullptr : &found->second;
  }
};

/// Which options there are for each payload, behind it.
struct PayloadOption {
  const char* name;
  const char* value;
  const char* help;
};
constexpr std::array payload_options{
    PayloadOption{"--type", "GUID", "Its image type"},
    PayloadOption{"--index", "N", "Its image index, 1 by default"},
    PayloadOption{"--instance", "N", "The hardware instance it is for, any by default"},
    PayloadOption{"--version", "V", "Its version"},
    PayloadOption{"--lowest-supported", "V", "The lowest version that may follow it"},
    PayloadOption{"--depends", "EXPR", "What must be installed for it"},
    PayloadOption{"--vendor-code", "FILE", "Bytes behind it that nobody signs"},
};
constexpr const char* no_header_option = "--no-header";

struct CreateOptions {
  CapsuleOutput output;
  std::vector<std::string> flags;
  std::optional<std::string> header_size;
  std::vector<std::string> drivers;
  std::vector<std::string> payload_files;
  /// Values of all payloads, in their order.
  std::map<std::string, std::vector<std::string>> values;
  bool no_header = false;
  std::optional<std::string> accept;
  bool revert = false;
  /// To tell which values are whose.
  const CLI::App* command = nullptr;
};

/// The values of each payload, by the order of the command line.
Outcome<std::vector<PayloadArguments>> arguments_of_payloads(const CreateOptions& options) {
  std::vector<PayloadArguments> payloads;
  std::map<std::string, std::size_t> seen;
  for (const CLI::Option* option : options.command->parse_order()) {
    const std::string name = option->get_name();
    if (name == "--payload") {
      payloads.push_back({.file = options.payload_files.at(payloads.size()), .values = {}});
      continue;
    }
    const auto values = options.values.find(name);
    if (values == options.values.end() && name != no_header_option) continue;
    if (payloads.empty()) {
      return fail_usage(
          fmt::format("{} stands behind the --payload that it is about, and there is none", name));
    }
    const std::string value =
        values == options.values.end() ? std::string() : values->second.at(seen[name]++);
    if (!payloads.back().values.emplace(name, value).second) {
      return fail_usage(
          fmt::format("{} is there twice for the payload {}", name, payloads.back().file));
    }
  }
  return payloads;
}

/// A number of `arguments`, or `otherwise`.
struct NumberOption {
  const char* name;
  std::uint64_t most;
  std::optional<std::uint64_t> otherwise;
};
Outcome<std::uint64_t> number_of(const PayloadArguments& arguments, const NumberOption& option) {
  const std::string* text = arguments.find(option.name);
  if (text != nullptr) {
    return parse_number({.option = option.name, .text = *text, .most = option.most});
  }
  if (option.otherwise) return *option.otherwise;
  return fail_usage(
      fmt::format("the payload {} needs {}, or {}", arguments.file, option.name, no_header_option));
}

constexpr std::uint64_t most_u32 = std::numeric_limits<std::uint32_t>::max();

Outcome<std::optional<capsule::PayloadVersions>> versions_of(const PayloadArguments& arguments) {
  if (arguments.find(no_header_option) != nullptr) {
    for (const char* name : {"--version", "--lowest-supported", "--depends"}) {
      if (arguments.find(name) == nullptr) continue;
      return fail_usage(
          fmt::format("{} stands in an FMP payload header, or before one: there is "
                      "none with {}",
                      name, no_header_option));
    }
    return std::optional<capsule::PayloadVersions>();
  }
  const auto version =
      number_of(arguments, {.name = "--version", .most = most_u32, .otherwise = {}});
  if (!version) return tl::unexpected(version.error());
  const auto lowest =
      number_of(arguments, {.name = "--lowest-supported", .most = most_u32, .otherwise = {}});
  if (!lowest) return tl::unexpected(lowest.error());
  return std::optional(
      capsule::PayloadVersions{.version = static_cast<std::uint32_t>(*version),
                               .lowest_supported_version = static_cast<std::uint32_t>(*lowest)});
}

Outcome<std::vector<std::byte>> body_of(const PayloadArguments& arguments) {
  const auto versions = versions_of(arguments);
  if (!versions) return tl::unexpected(versions.error());
  std::vector<std::byte> dependency;
  if (const std::string* text = arguments.find("--depends")) {
    auto compiled = capsule::compile_dependency(*text);
    if (!compiled) return fail_usage("--depends: " + compiled.error().message);
    dependency = *std::move(compiled);
  }
  const auto firmware = read_input(arguments.file, max_capsule_file_size_bytes);
  if (!firmware) return tl::unexpected(firmware.error());
  auto body =
      capsule::make_body({.versions = *versions, .dependency = dependency, .firmware = *firmware});
  if (!body) return fail_with(fmt::format("{}: {}", arguments.file, body.error().message));
  return std::move(*body);
}

Outcome<capsule::PayloadContents> payload_of(const PayloadArguments& arguments) {
  const std::string* type_text = arguments.find("--type");
  if (type_text == nullptr) {
    return fail_usage(fmt::format("the payload {} needs --type", arguments.file));
  }
  const auto type = parse_guid("--type", *type_text);
  if (!type) return tl::unexpected(type.error());
  const auto index = number_of(arguments, {.name = "--index", .most = 255, .otherwise = 1});
  if (!index) return tl::unexpected(index.error());
  const auto instance = number_of(
      arguments,
      {.name = "--instance", .most = std::numeric_limits<std::uint64_t>::max(), .otherwise = 0});
  if (!instance) return tl::unexpected(instance.error());
  auto body = body_of(arguments);
  if (!body) return tl::unexpected(body.error());
  capsule::PayloadContents payload;
  payload.type_id = *type;
  payload.index = static_cast<std::uint8_t>(*index);
  payload.hardware_instance = *instance;
  if (arguments.find("--depends") != nullptr) payload.support = capsule::image_support::dependency;
  payload.body = std::move(*body);
  if (const std::string* path = arguments.find("--vendor-code")) {
    auto bytes = read_input(*path, max_capsule_file_size_bytes);
    if (!bytes) return tl::unexpected(bytes.error());
    payload.vendor_code = std::move(*bytes);
  }
  return payload;
}

/// The header that was asked for, or `otherwise`.
Outcome<capsule::HeaderChoices> header_of(const CreateOptions& options,
                                          capsule::HeaderChoices otherwise) {
  if (!options.flags.empty()) otherwise.flags = 0;
  for (const std::string& text : options.flags) {
    const auto flags = capsule_flags_from_string(text);
    if (!flags) {
      return fail_usage(fmt::format(
          "--flag: \"{}\" is not persist, populate, reset or a number of 32 bits", text));
    }
    otherwise.flags |= *flags;
  }
  if (options.header_size) {
    const auto size = parse_number(
        {.option = "--header-size", .text = *options.header_size, .most = max_header_size});
    if (!size) return tl::unexpected(size.error());
    otherwise.header_size = static_cast<std::uint32_t>(*size);
  }
  return otherwise;
}

/// The library's error, which is one about the arguments.
template <typename T>
Outcome<T> from_arguments(Result<T>&& result) {
  if (!result) return fail_usage(result.error().message);
  return *std::move(result);
}

Outcome<std::vector<std::byte>> make_fmp(const CreateOptions& options,
                                         std::span<const PayloadArguments> arguments) {
  const auto header = header_of(options, {.flags = capsule::flags::persist_across_reset,
                                          .header_size = capsule::default_fmp_header_size});
  if (!header) return tl::unexpected(header.error());
  capsule::FmpContents contents{
      .flags = header->flags, .header_size = header->header_size, .drivers = {}, .payloads = {}};
  for (const PayloadArguments& each : arguments) {
    auto payload = payload_of(each);
    if (!payload) return tl::unexpected(payload.error());
    contents.payloads.push_back(std::move(*payload));
  }
  for (const std::string& path : options.drivers) {
    auto driver = read_input(path, max_capsule_file_size_bytes);
    if (!driver) return tl::unexpected(driver.error());
    contents.drivers.push_back(std::move(*driver));
  }
  return from_arguments(capsule::encode(contents));
}

Outcome<std::vector<std::byte>> make(const CreateOptions& options) {
  const auto payloads = arguments_of_payloads(options);
  if (!payloads) return tl::unexpected(payloads.error());
  const bool firmware = !payloads->empty() || !options.drivers.empty();
  if ((firmware ? 1 : 0) + (options.accept ? 1 : 0) + (options.revert ? 1 : 0) != 1) {
    return fail_usage("either --payload and --driver, or --accept, or --revert was expected");
  }
  if (firmware) return make_fmp(options, *payloads);
  const auto header = header_of(options, {});
  if (!header) return tl::unexpected(header.error());
  if (options.revert) return from_arguments(capsule::encode_revert(*header));
  const auto type = parse_guid("--accept", *options.accept);
  if (!type) return tl::unexpected(type.error());
  return from_arguments(capsule::encode_accept(*type, *header));
}

Outcome<ExitCode> run_create(const CreateOptions& options) {
  const auto bytes = make(options);
  if (!bytes) return tl::unexpected(bytes.error());
  const auto header =
      capsule::parse_capsule_header(capsule::MemorySource(*bytes), {0, bytes->size()});
  if (!header) return fail_with(header.error());
  if (const Status flags = capsule::check_flags(*header); !flags) {
    return fail_usage("--flag: " + flags.error().message);
  }
  if (auto written = options.output.write(*bytes); !written) {
    return tl::unexpected(written.error());
  }
  return ExitCode::success;
}

void add_payload_options(CLI::App& command, CreateOptions& options) {
  // One value each: what follows may be anything.
  command
      .add_option("--payload", options.payload_files,
                  "A firmware image; its options stand behind it")
      ->type_name("FILE")
      ->allow_extra_args(false);
  for (const PayloadOption& each : payload_options) {
    command.add_option(each.name, options.values[each.name], each.help)
        ->type_name(each.value)
        ->allow_extra_args(false);
  }
  command.add_flag(no_header_option, options.no_header,
                   "No FMP payload header, and so no version, stands before it");
}

}  // namespace

void add_capsule_create(CLI::App& parent, Action& action) {
  auto* const command = parent.add_subcommand("create", "Make a capsule of firmware images");
  const auto options = std::make_shared<CreateOptions>();
  options->command = command;
  options->output.add_to(*command);
  add_payload_options(*command, *options);
  command->add_option("--driver", options->drivers, "A UEFI driver to be loaded before")
      ->type_name("FILE")
      ->allow_extra_args(false);
  command
      ->add_option("--flag", options->flags,
                   "persist (default with payloads), populate, reset, or a number")
      ->type_name("FLAGS")
      ->allow_extra_args(false);
  command
      ->add_option("--header-size", options->header_size,
                   "HeaderSize, by default 32, and 28 without payloads")
      ->type_name("N");
  command->add_option("--accept", options->accept, "Says that the image type's trial succeeded")
      ->type_name("GUID");
  command->add_flag("--revert", options->revert, "Asks for the previous bank");
  command->footer(footer);
  command->callback([options, &action] {
    action = [options](const GlobalOptions&) { return run_create(*options); };
  });
}

}  // namespace efistore::tools
