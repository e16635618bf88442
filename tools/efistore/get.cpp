// SPDX-License-Identifier: BSD-2-Clause-Patent
#include <fmt/format.h>

#include <CLI/App.hpp>
#include <memory>
#include <optional>
#include <vector>

#include "efistore/base/attributes.hpp"
#include "efistore/base/bytes.hpp"

#include "command.hpp"
#include "common/escape.hpp"
#include "common/file_io.hpp"
#include "json.hpp"
#include "text.hpp"

namespace efistore::tools {

namespace {

constexpr const char* footer = R"(Examples:
  efistore --store vars.fd get BootOrder
  efistore --store vars.fd get PlatformLang --text
  efistore --store vars.fd get db-d719b2cb-3d3a-4596-a3bc-dad00e67656f -o db.esl)";

struct GetOptions {
  std::string name;
  std::optional<std::string> output;
  bool raw = false;
  bool hex = false;
  bool text = false;
  bool efivarfs = false;

  bool has_form() const noexcept { return raw || hex || text || efivarfs; }
};

/// Attributes, four bytes, little-endian, and the data: a file of efivarfs.
std::vector<std::byte> efivarfs_bytes(const variable::VariableView& view) {
  std::vector<std::byte> bytes(sizeof view.attributes + view.data.size());
  ByteWriter writer(bytes);
  writer.u32(view.attributes);
  writer.bytes(view.data);
  return bytes;
}

std::string describe(const std::string& name, const variable::VariableView& view) {
  std::string text =
      fmt::format("{}\nattributes: {} ({:#x})\nsize: {}\n", escape(name, EscapeStyle::line),
                  attributes_to_string(view.attributes), view.attributes, view.data.size());
  if (!view.time.is_zero()) text += fmt::format("time: {}\n", to_string(view.time));
  return text + hex_dump(view.data);
}

/// Sends `bytes`, as they are, to where they are wanted.
Outcome<void> deliver_bytes(const GetOptions& options, std::span<const std::byte> bytes) {
  return options.output ? write_file(*options.output, bytes) : write_raw_output(bytes);
}

Outcome<void> deliver_text(const GetOptions& options, const std::string& text) {
  if (options.output) return write_file(*options.output, as_bytes(text));
  print(text);
  return {};
}

Outcome<void> deliver(const GetOptions& options, const std::string& name,
                      const variable::VariableView& view) {
  if (options.efivarfs) return deliver_bytes(options, efivarfs_bytes(view));
  if (options.hex) return deliver_text(options, to_hex(view.data) + "\n");
  if (options.text) {
    const auto text = data_as_text(view.data);
    if (!text) return fail_with(name + ": the data is neither UTF-8 nor UTF-16 text");
    return deliver_text(options, escape(*text, EscapeStyle::text) + "\n");
  }
  if (options.raw || options.output) return deliver_bytes(options, view.data);
  return deliver_text(options, describe(name, view));
}

Outcome<ExitCode> run_get(const GlobalOptions& global, const GetOptions& options) {
  if (global.json && (options.has_form() || options.output)) {
    return fail_usage("--json excludes the other forms of output, and -o");
  }
  const auto id = variable_from_argument(options.name);
  if (!id) return tl::unexpected(id.error());
  const auto locator = global.locator();
  if (!locator) return tl::unexpected(locator.error());
  if (options.output) {
    if (auto safe = check_output(*locator, *options.output); !safe) {
      return tl::unexpected(safe.error());
    }
  }
  auto session = Session::open(*locator, flash::OpenMode::read_only);
  if (!session) return tl::unexpected(session.error());
  if (auto done = warn_of_damage(*locator, *session); !done) return tl::unexpected(done.error());

  const std::string name = variable::to_string(*id);
  const auto found = session->client().read(id->name, id->guid);
  if (!found) return fail_with(name, found.error());
  const auto view = view_of(*id, *found);
  if (global.json) {
    Json variable = variable_json(view);
    add_data(variable, view);
    print_json(variable);
    return ExitCode::success;
  }
  if (auto done = deliver(options, name, view); !done) return tl::unexpected(done.error());
  return ExitCode::success;
}

}  // namespace

void add_get(CLI::App& app, Action& action) {
  auto* const command = app.add_subcommand("get", "Show a variable");
  const auto options = std::make_shared<GetOptions>();
  command->add_option("NAME", options->name, "NAME-GUID, or NAME of the global namespace")
      ->required();
  command->add_option("-o,--output", options->output, "Write to a file, by default the bytes alone")
      ->type_name("FILE");
  auto* const forms = command->add_option_group("form", "Instead of a hex dump:");
  forms->add_flag("--raw", options->raw, "The data's bytes as they are");
  forms->add_flag("--hex", options->hex, "The data as hexadecimal digits");
  forms->add_flag("--text", options->text, "The data as text (UTF-8 or UTF-16)");
  forms->add_flag("--efivarfs", options->efivarfs,
                  "As a file of efivarfs: four bytes of attributes, and the data");
  forms->require_option(0, 1);
  command->footer(footer);
  command->callback([options, &action] {
    action = [options](const GlobalOptions& global) { return run_get(global, *options); };
  });
}

}  // namespace efistore::tools
