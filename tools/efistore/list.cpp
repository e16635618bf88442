// SPDX-License-Identifier: BSD-2-Clause-Patent
#include <fmt/format.h>

#include <CLI/App.hpp>
#include <memory>
#include <vector>

#include "efistore/base/attributes.hpp"

#include "command.hpp"
#include "common/escape.hpp"
#include "common/file_io.hpp"
#include "json.hpp"
#include "load_option.hpp"

namespace efistore::tools {

namespace {

constexpr const char* footer = R"(Examples:
  efistore --store vars.fd list            what an operating system would see
  efistore --store vars.fd list -l --all   everything, with boot entries decoded
  efistore --store vars.fd --json list -l  with data, for programs)";

constexpr std::string_view undecodable = "(undecodable)";

struct ListOptions {
  bool long_form = false;
  bool all = false;
};

/// A load option for people and programs; texts are not escaped.
struct DecodedOption {
  std::string description;
  std::string path;
  bool active = false;
};

std::optional<DecodedOption> decode_option(const variable::VariableView& view) {
  constexpr std::uint32_t load_option_active = 1;
  const auto option = parse_load_option(view.data);
  if (!option) return std::nullopt;
  const auto path = format_device_path(option->file_path);
  if (!path) return std::nullopt;
  return DecodedOption{.description = description_text(*option),
                       .path = *path,
                       .active = (option->attributes & load_option_active) != 0};
}

Json list_json(const std::vector<variable::VariableView>& views, const ListOptions& options) {
  Json variables = Json::array();
  for (const auto& view : views) {
    Json variable = variable_json(view);
    if (options.long_form) {
      if (const auto name = guid_name(view.guid)) variable["guid_name"] = *name;
      add_data(variable, view);
      if (is_load_option_name(view.name, view.guid)) {
        const auto option = decode_option(view);
        variable["load_option"] = option ? Json{{"active", option->active},
                                                {"description", option->description},
                                                {"path", option->path}}
                                         : Json(nullptr);
      }
    }
    variables.push_back(std::move(variable));
  }
  return Json{{"variables", std::move(variables)}};
}

std::string long_line(const variable::VariableView& view) {
  const std::string time = view.time.is_zero() ? "-" : to_string(view.time);
  std::string line = fmt::format(
      "{:<12} {:>7}  {:<19}  {}", attributes_to_string(view.attributes), view.data.size(), time,
      escape(variable::to_string(view.name, view.guid), EscapeStyle::line));
  if (const auto name = guid_name(view.guid)) line += fmt::format("  [{}]", *name);
  line += '\n';
  if (!is_load_option_name(view.name, view.guid)) return line;
  const auto option = decode_option(view);
  if (!option) return line + fmt::format("    {}\n", undecodable);
  return line + fmt::format("    {}{}  {}\n", option->active ? "" : "(inactive) ",
                            escape(option->description, EscapeStyle::line),
                            escape(option->path, EscapeStyle::line));
}

struct Listed {
  variable::VariableId id;
  runtime::Variable variable;
};

/// Every variable, without those that only boot services can see unless `all` are wanted. Only a
/// list of names does without their content.
variable::EfiResult<std::vector<Listed>> read_all(runtime::Client& client, bool all, bool content) {
  const auto entries = client.list();
  if (!entries) return tl::unexpected(entries.error());
  std::vector<Listed> listed;
  for (const runtime::ListEntry& entry : *entries) {
    if (!all && (entry.attributes & attributes::runtime_access) == 0) continue;
    if (!content) {
      listed.push_back({entry.id, {.attributes = entry.attributes}});
      continue;
    }
    auto variable = client.read(entry.id.name, entry.id.guid);
    // Deleted since it was listed, by somebody else.
    if (!variable && variable.status() == EfiStatus::not_found) continue;
    if (!variable) return tl::unexpected(std::move(variable).error());
    listed.push_back({entry.id, std::move(*variable)});
  }
  return listed;
}

Outcome<ExitCode> run_list(const GlobalOptions& global, const ListOptions& options) {
  const auto locator = global.locator();
  if (!locator) return tl::unexpected(locator.error());
  auto session = Session::open(*locator, flash::OpenMode::read_only);
  if (!session) return tl::unexpected(session.error());
  if (auto done = warn_of_damage(*locator, *session); !done) return tl::unexpected(done.error());
  const auto listed = read_all(session->client(), options.all, options.long_form || global.json);
  if (!listed) return fail_with(*locator, listed.error());
  std::vector<variable::VariableView> views;
  views.reserve(listed->size());
  for (const Listed& each : *listed) views.push_back(view_of(each.id, each.variable));

  if (global.json) {
    print_json(list_json(views, options));
    return ExitCode::success;
  }
  for (const auto& each : views) {
    print(options.long_form
              ? long_line(each)
              : escape(variable::to_string(each.name, each.guid), EscapeStyle::line) + "\n");
  }
  return ExitCode::success;
}

}  // namespace

void add_list(CLI::App& app, Action& action) {
  auto* const command = app.add_subcommand("list", "List variables");
  const auto options = std::make_shared<ListOptions>();
  command->add_flag("-l,--long", options->long_form,
                    "With attributes, size, time and what is known of the content");
  command->add_flag("--all", options->all, "Also those that only boot services can see");
  command->footer(footer);
  command->callback([options, &action] {
    action = [options](const GlobalOptions& global) { return run_list(global, *options); };
  });
}

}  // namespace efistore::tools
