// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// The commands that change one variable: set and delete.
#include <fmt/format.h>

#include <CLI/App.hpp>
#include <memory>
#include <vector>

#include "efistore/base/attributes.hpp"
#include "efistore/base/bytes.hpp"
#include "efistore/base/ucs2.hpp"

#include "command.hpp"
#include "common/file_io.hpp"
#include "text.hpp"

namespace efistore::tools {

namespace {

constexpr const char* set_footer =
    R"(Attributes are some of nv,bs,rt,hr,aw,at,ap,eaw or a number. Without -a a variable keeps
those it has, a new one gets nv,bs,rt.

Examples:
  efistore --store vars.fd set Timeout --data 0500
  efistore --store vars.fd set PlatformLang --text en
  efistore --store vars.fd set Note-12345678-1234-1234-1234-123456789abc -a nv,bs -f note.txt
  efistore --store vars.fd set Log-12345678-1234-1234-1234-123456789abc --append --data 0a)";

constexpr const char* delete_footer = R"(Examples:
  efistore --store vars.fd delete Boot0003
  efistore --store vars.fd delete Note-12345678-1234-1234-1234-123456789abc)";

/// More than any store can hold.
constexpr std::size_t max_data_size_bytes = store::max_volume_size_bytes;

struct SetOptions {
  std::string name;
  std::optional<std::string> attributes;
  bool append = false;
  std::optional<std::string> data;
  std::optional<std::string> text;
  std::optional<std::string> utf16;
  std::optional<std::string> file;
};

Outcome<std::vector<std::byte>> data_from_options(const SetOptions& options) {
  if (options.file) return read_input(*options.file, max_data_size_bytes);
  if (options.data) {
    auto bytes = from_hex(*options.data);
    if (!bytes) return fail_usage("--data: pairs of hexadecimal digits were expected");
    return std::move(*bytes);
  }
  if (options.utf16) {
    auto bytes = text_as_utf16(*options.utf16);
    if (!bytes) return fail_usage("--utf16: the text is no UTF-8");
    return std::move(*bytes);
  }
  const std::string text = options.text.value_or("");
  const auto bytes = as_bytes(text);
  return std::vector<std::byte>(bytes.begin(), bytes.end());
}

/// What -a asks for; none without it.
Outcome<std::optional<std::uint32_t>> attributes_from_options(const SetOptions& options,
                                                              const std::string& name) {
  if (!options.attributes) return std::optional<std::uint32_t>{};
  const auto given = attributes_from_string(*options.attributes);
  if (!given) {
    return fail_usage(
        fmt::format("-a: \"{}\": some of nv,bs,rt,hr,aw,at,ap,eaw or a number were expected",
                    *options.attributes));
  }
  constexpr std::uint32_t access = attributes::bootservice_access | attributes::runtime_access;
  // UEFI takes such a write for a deletion, which nobody expects of `set`.
  if (*given == 0) return fail_usage("-a: no attributes would delete the variable; use `delete`");
  if ((*given & attributes::non_volatile) == 0 && (*given & access) != 0) {
    return fail_with(fmt::format(
        "{}: a volatile variable would be gone when this command ends; add nv to its attributes",
        name));
  }
  return given;
}

variable::EfiResult<std::uint32_t> present_attributes(runtime::Client& client,
                                                      const variable::VariableId& id) {
  const auto existing = client.read(id.name, id.guid);
  if (existing) return existing->attributes;
  if (existing.status() == EfiStatus::not_found) return attributes::default_new;
  return tl::unexpected(existing.error());
}

Outcome<ExitCode> run_set(const GlobalOptions& global, const SetOptions& options) {
  const auto id = variable_from_argument(options.name);
  if (!id) return tl::unexpected(id.error());
  const std::string name = variable::to_string(*id);
  const auto locator = global.locator();
  if (!locator) return tl::unexpected(locator.error());
  const auto given = attributes_from_options(options, name);
  if (!given) return tl::unexpected(given.error());
  // Before the store is opened, and behind all that can be refused without it: a pipe may make us
  // wait for as long as it likes, and nobody else shall wait for the store meanwhile.
  const auto data = data_from_options(options);
  if (!data) return tl::unexpected(data.error());
  auto session = Session::open(*locator, flash::OpenMode::read_write);
  if (!session) return tl::unexpected(session.error());
  std::uint32_t wanted = 0;
  if (*given) {
    wanted = **given;
  } else {
    const auto present = present_attributes(session->client(), *id);
    if (!present) return fail_with(name, present.error());
    wanted = *present;
  }
  if (options.append) wanted |= attributes::append_write;
  if (data->empty() && (wanted & attributes::append_write) == 0) {
    return fail_usage(name + ": a variable cannot be without data; `delete` removes it");
  }
  const auto done = session->client().set_variable(
      {.name = id->name, .guid = id->guid, .attributes = wanted, .data = *data});
  if (!done) return fail_with(name, done.error());
  return ExitCode::success;
}

Outcome<ExitCode> run_delete(const GlobalOptions& global, const std::string& argument) {
  const auto id = variable_from_argument(argument);
  if (!id) return tl::unexpected(id.error());
  const std::string name = variable::to_string(*id);
  const auto locator = global.locator();
  if (!locator) return tl::unexpected(locator.error());
  auto session = Session::open(*locator, flash::OpenMode::read_write);
  if (!session) return tl::unexpected(session.error());
  const auto existing = session->client().read(id->name, id->guid);
  if (!existing) return fail_with(name, existing.error());
  const auto done = session->client().set_variable(
      {.name = id->name, .guid = id->guid, .attributes = existing->attributes, .data = {}});
  if (!done) return fail_with(name, done.error());
  return ExitCode::success;
}

}  // namespace

void add_set(CLI::App& app, Action& action) {
  auto* const command = app.add_subcommand("set", "Write a variable");
  const auto options = std::make_shared<SetOptions>();
  command->add_option("NAME", options->name, "NAME-GUID, or NAME of the global namespace")
      ->required();
  command->add_option("-a,--attributes", options->attributes, "The variable's attributes")
      ->type_name("ATTRS");
  command->add_flag("--append", options->append, "Add the data to what is there");
  auto* const sources = command->add_option_group("data", "The data, one of:");
  sources->add_option("--data", options->data, "Hexadecimal digits")->type_name("HEX");
  sources->add_option("--text", options->text, "Text, as it is")->type_name("TEXT");
  sources->add_option("--utf16", options->utf16, "Text, as UTF-16 with a NUL at its end")
      ->type_name("TEXT");
  sources
      ->add_option("-f,--file", options->file,
                   "The bytes of a file, - for standard input; with attribute at a signed payload")
      ->type_name("FILE");
  sources->require_option(1);
  command->footer(set_footer);
  command->callback([options, &action] {
    action = [options](const GlobalOptions& global) { return run_set(global, *options); };
  });
}

void add_delete(CLI::App& app, Action& action) {
  auto* const command = app.add_subcommand("delete", "Delete a variable");
  const auto name = std::make_shared<std::string>();
  command->add_option("NAME", *name, "NAME-GUID, or NAME of the global namespace")->required();
  command->footer(delete_footer);
  command->callback([name, &action] {
    action = [name](const GlobalOptions& global) { return run_delete(global, *name); };
  });
}

}  // namespace efistore::tools
