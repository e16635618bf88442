// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// `apply`: several variables at once, all of them or none.
#include <fmt/format.h>

#include <CLI/App.hpp>
#include <algorithm>
#include <array>
#include <filesystem>
#include <functional>
#include <memory>
#include <set>

#include "efistore/base/attributes.hpp"
#include "efistore/base/bytes.hpp"

#include "command.hpp"
#include "common/file_io.hpp"
#include "json.hpp"
#include "text.hpp"

namespace efistore::tools {

namespace {

constexpr const char* footer =
    R"(FILE, - for standard input, has the changes in their order, as efistore-formats(5) describes:
  {"changes": [
    {"name": "Boot0001", "file": "boot0001.bin"},
    {"name": "BootOrder", "data": "0100"},
    {"name": "Boot0007", "delete": true}]}
All of them are made, or none, also across a power cut.

Examples:
  efistore --store vars.fd apply changes.json)";

constexpr std::size_t max_file_size_bytes = store::max_volume_size_bytes;
constexpr std::size_t max_changes = 1024;
/// Of one change: more than any variable has, and with all changes no more than memory has.
constexpr std::size_t max_change_size_bytes = std::size_t{1} << 20U;

struct Change {
  variable::VariableId id;
  std::optional<std::uint32_t> attributes;
  bool append = false;
  bool deletion = false;
  std::vector<std::byte> data;
};

/// A change as it stands in the file, and where.
class ChangeReader {
 public:
  ChangeReader(const Json& entry, std::string place, std::filesystem::path directory)
      : entry_(entry), place_(std::move(place)), directory_(std::move(directory)) {}

  Outcome<Change> read() {
    if (!entry_.is_object()) return fail_with(place_ + ": an object was expected");
    for (const auto& [key, value] : entry_.items()) {
      constexpr std::array known{"name", "guid", "attributes", "append", "delete",
                                 "data", "text", "utf16",      "file"};
      if (std::ranges::find(known, std::string_view(key)) == known.end()) {
        return fail_with(fmt::format("{}: there is no key \"{}\"", place_, key));
      }
    }
    Change change;
    for (const auto step : {&ChangeReader::read_name, &ChangeReader::read_attributes,
                            &ChangeReader::read_flags, &ChangeReader::read_data}) {
      if (auto done = (this->*step)(change); !done) return tl::unexpected(done.error());
    }
    return change;
  }

 private:
  tl::unexpected<Failure> fail(const char* key, std::string_view expected) const {
    return fail_with(fmt::format("{}.{}: {} was expected", place_, key, expected));
  }

  Outcome<std::optional<std::string>> text(const char* key) const {
    if (!entry_.contains(key)) return std::optional<std::string>{};
    if (!entry_.at(key).is_string()) return fail(key, "a string");
    return std::optional(entry_.at(key).get<std::string>());
  }

  Outcome<void> read_name(Change& change) {
    const auto name = text("name");
    if (!name) return tl::unexpected(name.error());
    const auto guid = text("guid");
    if (!guid) return tl::unexpected(guid.error());
    if (!*name) return fail("name", "a string");
    if (*guid && !Guid::parse(**guid)) return fail("guid", "a GUID");
    auto id = variable::parse_variable_id(*guid ? **name + "-" + **guid : **name);
    if (!id) return fail("name", "the name of a variable");
    change.id = std::move(*id);
    return {};
  }

  Outcome<void> read_attributes(Change& change) {
    if (!entry_.contains("attributes")) return {};
    const Json& value = entry_.at("attributes");
    constexpr const char* expected = "a number, or some of nv,bs,rt,hr,aw,at,ap,eaw";
    if (value.is_string()) {
      change.attributes = attributes_from_string(value.get<std::string>());
    } else if (value.is_number_unsigned() && value.get<std::uint64_t>() <= UINT32_MAX) {
      change.attributes = value.get<std::uint32_t>();
    }
    if (!change.attributes) return fail("attributes", expected);
    constexpr std::uint32_t access = attributes::bootservice_access | attributes::runtime_access;
    if ((*change.attributes & access) == 0) {
      return fail("attributes", "boot-service access (for a deletion, \"delete\")");
    }
    if ((*change.attributes & attributes::non_volatile) == 0) {
      return fail("attributes", "nv (a volatile variable is gone when this command ends)");
    }
    return {};
  }

  Outcome<void> read_flags(Change& change) {
    for (const auto& [key, flag] :
         {std::pair{"append", &change.append}, std::pair{"delete", &change.deletion}}) {
      if (!entry_.contains(key)) continue;
      if (!entry_.at(key).is_boolean()) return fail(key, "true or false");
      *flag = entry_.at(key).get<bool>();
    }
    return {};
  }

  Outcome<void> read_data(Change& change) {
    std::size_t sources = 0;
    for (const auto* key : {"data", "text", "utf16", "file"}) {
      const auto value = text(key);
      if (!value) return tl::unexpected(value.error());
      if (!*value) continue;
      ++sources;
      auto data = data_from(key, **value);
      if (!data) return tl::unexpected(data.error());
      change.data = std::move(*data);
    }
    if (sources != (change.deletion ? 0U : 1U) || (change.deletion && change.append)) {
      return fail_with(place_ +
                       ": one of \"data\", \"text\", \"utf16\" and \"file\" was expected, or "
                       "\"delete\" alone");
    }
    if (!change.deletion && !change.append && change.data.empty()) {
      return fail_with(place_ + ": a variable cannot be without data; \"delete\" removes it");
    }
    return {};
  }

  Outcome<std::vector<std::byte>> data_from(std::string_view key, const std::string& value) {
    // A file called "-" is a file here: standard input may be what is being read.
    if (key == "file") return read_input((directory_ / value).string(), max_change_size_bytes);
    std::optional<std::vector<std::byte>> data;
    if (key == "data") {
      data = from_hex(value);
    } else if (key == "utf16") {
      data = text_as_utf16(value);
    } else {
      const auto bytes = as_bytes(value);
      data.emplace(bytes.begin(), bytes.end());
    }
    if (!data) {
      return fail(std::string(key).c_str(),
                  key == "data" ? "pairs of hexadecimal digits" : "text in UTF-8");
    }
    return std::move(*data);
  }

  const Json& entry_;
  std::string place_;
  std::filesystem::path directory_;
};

/// Watches the parser, which by itself lets the last of two equal keys count.
struct DuplicateKeys {
  std::vector<std::set<std::string>> open;
  std::string first;

  bool operator()(int /*depth*/, Json::parse_event_t event, const Json& parsed) {
    if (event == Json::parse_event_t::object_start) open.emplace_back();
    if (event == Json::parse_event_t::object_end) open.pop_back();
    if (event == Json::parse_event_t::key && first.empty()) {
      const auto key = parsed.get<std::string>();
      if (!open.back().insert(key).second) first = key;
    }
    return true;
  }
};

/// Never empty, so that what lies there is never called "-".
std::filesystem::path folder_of(const std::string& path) {
  const auto folder = std::filesystem::path(path).parent_path();
  return folder.empty() ? std::filesystem::path(".") : folder;
}

Outcome<std::vector<Change>> read_changes(const std::string& path) {
  const auto bytes = read_input(path, max_file_size_bytes);
  if (!bytes) return tl::unexpected(bytes.error());
  Json document;
  DuplicateKeys duplicates;
  try {
    const auto* const text = reinterpret_cast<const char*>(bytes->data());
    document = Json::parse(text, text + bytes->size(), std::ref(duplicates));
  } catch (const Json::exception& error) {
    return fail_with(fmt::format("{}: {}", path, error.what()));
  }
  if (!duplicates.first.empty()) {
    return fail_with(
        fmt::format("{}: the key \"{}\" is there twice in one object", path, duplicates.first));
  }
  if (!document.is_object() || document.size() != 1 || !document.contains("changes") ||
      !document["changes"].is_array()) {
    return fail_with(path + ": an object with an array \"changes\" was expected");
  }
  const Json& entries = document["changes"];
  if (entries.size() > max_changes) {
    return fail_with(fmt::format("{}: at most {} changes were expected, and there are {}", path,
                                 max_changes, entries.size()));
  }
  std::vector<Change> changes;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    ChangeReader reader(entries[i], fmt::format("{}: changes[{}]", path, i), folder_of(path));
    auto change = reader.read();
    if (!change) return tl::unexpected(change.error());
    changes.push_back(std::move(*change));
  }
  return changes;
}

/// The attributes that a change has where it names none: those that are there, or will be.
std::uint32_t attributes_for(const Change& change, runtime::Client& client,
                             std::span<const variable::SetRequest> before) {
  if (change.attributes) return *change.attributes;
  for (const auto& request : before) {
    if (request.name == change.id.name && request.guid == change.id.guid)
      return request.attributes & ~attributes::append_write;
  }
  const auto present = client.read(change.id.name, change.id.guid);
  return present ? present->attributes : attributes::default_new;
}

Outcome<ExitCode> run_apply(const GlobalOptions& global, const std::string& path) {
  const auto locator = global.locator();
  if (!locator) return tl::unexpected(locator.error());
  const auto changes = read_changes(path);
  if (!changes) return tl::unexpected(changes.error());
  auto session = Session::open(*locator, flash::OpenMode::read_write);
  if (!session) return tl::unexpected(session.error());
  std::vector<variable::SetRequest> requests;
  for (const Change& change : *changes) {
    const std::uint32_t attributes = attributes_for(change, session->client(), requests);
    requests.push_back({.name = change.id.name,
                        .guid = change.id.guid,
                        .attributes = attributes | (change.append ? attributes::append_write : 0U),
                        .data = change.data});
  }
  if (const auto done = session->client().set_all(requests); !done)
    return fail_with(*locator, done.error());
  return ExitCode::success;
}

}  // namespace

void add_apply(CLI::App& app, Action& action) {
  auto* const command = app.add_subcommand("apply", "Make several changes, all of them or none");
  const auto path = std::make_shared<std::string>();
  command->add_option("FILE", *path, "The changes, in JSON")->required();
  command->footer(footer);
  command->callback([path, &action] {
    action = [path](const GlobalOptions& global) { return run_apply(global, *path); };
  });
}

}  // namespace efistore::tools
