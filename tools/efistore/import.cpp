// SPDX-License-Identifier: BSD-2-Clause-Patent
#include <fmt/format.h>

#include <CLI/App.hpp>
#include <algorithm>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "efistore/base/attributes.hpp"
#include "efistore/exchange/exchange.hpp"
#include "efistore/flash/memory_device.hpp"

#include "command.hpp"
#include "common/escape.hpp"
#include "common/file_io.hpp"
#include "json.hpp"

namespace efistore::tools {

namespace {

constexpr const char* footer =
    R"(Variables of FILE take the place of those of the same name. All are written in one step or
none is. This is provisioning: of what SetVariable would check only the limits on sizes are,
no signatures and no contents. FILE is - for standard input; with --format image it can be any store.

Examples:
  efistore --store vars.fd import --format json backup.json
  efistore --store vars.fd import --format image --replace OVMF_VARS_4M.ms.fd
  efistore --store vars.fd import --format ubootefi /boot/efi/ubootefi.var)";

struct ImportOptions {
  std::string format;
  std::string file;
  bool replace = false;
};

/// How many variables did what.
struct ImportCounts {
  std::size_t added = 0;
  std::size_t replaced = 0;
  std::size_t unchanged = 0;
  std::size_t removed = 0;
};

std::string input_name(const ImportOptions& options) {
  return options.file == "-" ? "standard input" : options.file;
}

/// The variable for a message, cut to what a line can take.
std::string label(const store::Variable& variable) {
  constexpr std::size_t shown = 64;
  if (variable.name.size() <= shown) return variable::to_string(variable.name, variable.guid);
  return variable::to_string(variable.name.substr(0, shown) + u'\u2026', variable.guid);
}

std::vector<store::Variable> variables_of(const store::VariableStore& source) {
  std::vector<store::Variable> variables;
  for (const store::Record* record = source.first(); record != nullptr;
       record = source.next(*record)) {
    variables.push_back(record->to_variable());
  }
  return variables;
}

Outcome<exchange::Imported> import_image(const std::string& file) {
  std::unique_ptr<flash::Device> device;
  if (file == "-") {
    auto bytes = read_input(file, exchange::max_input_size_bytes);
    if (!bytes) return tl::unexpected(std::move(bytes).error());
    constexpr std::uint32_t block = flash::ImageFile::default_erase_block_size_bytes;
    // As with image files, a tail shorter than a block belongs to no block.
    bytes->resize(bytes->size() - bytes->size() % block);
    if (bytes->empty()) return fail_with("standard input: less than a block of an image");
    device = std::make_unique<flash::MemoryDevice>(std::move(*bytes), block, "standard input");
  } else {
    auto opened = open_flash(file, flash::OpenMode::read_only);
    if (!opened) return tl::unexpected(std::move(opened).error());
    device = std::move(*opened);
  }
  const std::string name = device->name();
  const auto source = open_store_on(name, std::move(device), flash::OpenMode::read_only);
  if (!source) return tl::unexpected(source.error());
  warn_of_damage(name, *source);
  return exchange::Imported{.variables = variables_of(*source), .left_out = {}, .losses = {}};
}

Outcome<exchange::Imported> read_variables(const ImportOptions& options) {
  if (options.format == "image") return import_image(options.file);
  const auto bytes = read_input(options.file, exchange::max_input_size_bytes);
  if (!bytes) return tl::unexpected(bytes.error());
  auto imported = options.format == "json"   ? exchange::import_json(*bytes)
                  : options.format == "qemu" ? exchange::import_qemu(*bytes)
                                             : exchange::import_ubootefi(*bytes);
  if (!imported) {
    return fail_with(fmt::format("{}: {}", input_name(options), imported.error().message));
  }
  return std::move(*imported);
}

/// Moves variables that have no place in a non-volatile store to those left out.
void drop_unstorable(exchange::Imported& imported) {
  constexpr std::uint32_t storable = attributes::supported & ~attributes::append_write;
  std::erase_if(imported.variables, [&imported](const store::Variable& variable) {
    const std::string name = label(variable);
    // SetVariable takes no access for a deletion, and runtime access alone for a mistake.
    if ((variable.attributes & ~storable) != 0 ||
        (variable.attributes & attributes::bootservice_access) == 0) {
      imported.left_out.push_back(fmt::format("{}: a store keeps no variable with attributes {}",
                                              name, attributes_to_string(variable.attributes)));
      return true;
    }
    if ((variable.attributes & attributes::non_volatile) == 0) {
      imported.left_out.push_back(name + ": it is volatile");
      return true;
    }
    return false;
  });
}

/// Refuses what SetVariable could never have made, and firmware may trip over: EDK2 asserts that
/// variables have data, and its buffers have the size of the largest.
Outcome<void> check_limits(const std::string& source, const std::vector<store::Variable>& variables,
                           const store::Layout& layout) {
  const auto limits = variable::Limits::for_layout(layout);
  for (const store::Variable& variable : variables) {
    const auto refuse = [&](std::string_view problem) {
      return fail_with(fmt::format("{}: {}: {}", source, label(variable), problem));
    };
    if (variable.data.empty()) return refuse("no data, expected at least 1 byte");
    const std::size_t size = (variable.name.size() + 1) * sizeof(char16_t) + variable.data.size();
    const std::uint32_t limit = limits.max_content_size(variable.attributes, layout.format);
    if (size > limit) {
      return refuse(
          fmt::format("name and data take {} bytes, expected at most {} in a store of "
                      "layout {}",
                      size, limit, layout.name()));
    }
    if (layout.format == store::RecordFormat::normal &&
        (variable.attributes & attributes::any_authenticated) != 0) {
      return refuse(
          fmt::format("attributes {}, and the store's normal format has no authenticated "
                      "variables",
                      attributes_to_string(variable.attributes)));
    }
  }
  return {};
}

/// What the store is to hold: `incoming` over `present`, or `incoming` alone. Variables that stay
/// keep their order.
Outcome<std::vector<store::Variable>> merge(std::vector<store::Variable> present,
                                            std::vector<store::Variable> incoming, bool replace,
                                            ImportCounts& counts) {
  std::map<std::pair<std::u16string, Guid>, std::size_t> places;
  for (std::size_t i = 0; i < present.size(); ++i) places[{present[i].name, present[i].guid}] = i;
  std::map<std::pair<std::u16string, Guid>, bool> seen;
  std::vector<store::Variable> result = replace ? std::vector<store::Variable>{} : present;
  for (store::Variable& variable : incoming) {
    const auto key = std::pair(variable.name, variable.guid);
    if (!seen.emplace(key, true).second) {
      return fail_with(variable::to_string(variable.name, variable.guid) +
                       ": the file has two variables of that name");
    }
    const auto place = places.find(key);
    if (place == places.end()) {
      ++counts.added;
    } else {
      ++(present[place->second] == variable ? counts.unchanged : counts.replaced);
    }
    if (replace || place == places.end()) {
      result.push_back(std::move(variable));
    } else {
      result[place->second] = std::move(variable);
    }
  }
  if (replace) counts.removed = places.size() - counts.replaced - counts.unchanged;
  return result;
}

void report(const GlobalOptions& global, const std::string& locator, const ImportCounts& counts,
            const exchange::Imported& imported) {
  print_each("not imported: ", imported.left_out);
  print_each("imported with loss: ", imported.losses);
  if (global.json) {
    print_json(Json{{"store", locator},
                    {"added", counts.added},
                    {"replaced", counts.replaced},
                    {"unchanged", counts.unchanged},
                    {"removed", counts.removed},
                    {"not_imported", imported.left_out},
                    {"imported_with_loss", imported.losses}});
  } else {
    print(fmt::format("{}: added {}, replaced {}, unchanged {}, removed {}\n",
                      escape(locator, EscapeStyle::line), counts.added, counts.replaced,
                      counts.unchanged, counts.removed));
  }
}

Outcome<ExitCode> run_import(const GlobalOptions& global, const ImportOptions& options) {
  const auto locator = global.locator();
  if (!locator) return tl::unexpected(locator.error());
  // Before the store is opened, so that a store can be imported into itself.
  auto imported = read_variables(options);
  if (!imported) return tl::unexpected(std::move(imported).error());
  drop_unstorable(*imported);
  auto target = open_store(*locator, flash::OpenMode::read_write);
  if (!target) return tl::unexpected(std::move(target).error());
  if (auto fit = check_limits(input_name(options), imported->variables, target->layout()); !fit) {
    return tl::unexpected(std::move(fit).error());
  }
  const std::vector<store::Variable> present = variables_of(*target);
  ImportCounts counts;
  const auto wanted = merge(present, std::move(imported->variables), options.replace, counts);
  if (!wanted) return tl::unexpected(wanted.error());
  if (*wanted != present) {
    if (auto done = target->replace_all(*wanted); !done) {
      return fail_with(fmt::format("{}: {}", *locator, done.error().message));
    }
  }
  report(global, *locator, counts, *imported);
  return ExitCode::success;
}

}  // namespace

void add_import(CLI::App& app, Action& action) {
  auto* const command = app.add_subcommand("import", "Take variables over from another format");
  const auto options = std::make_shared<ImportOptions>();
  command->add_option("FILE", options->file, "The file, - for standard input")->required();
  command->add_option("--format", options->format, "The format")
      ->required()
      ->check(CLI::IsMember({"json", "qemu", "ubootefi", "image"}));
  command->add_flag("--replace", options->replace, "Remove all variables that the file lacks");
  command->footer(footer);
  command->callback([options, &action] {
    action = [options](const GlobalOptions& global) { return run_import(global, *options); };
  });
}

}  // namespace efistore::tools
