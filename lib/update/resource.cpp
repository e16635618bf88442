// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/update/resource.hpp"

#include <fmt/format.h>
#include <fmt/std.h>

// Debian's shared library of toml++ throws.
#define TOML_HEADER_ONLY 1
#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
#include <toml++/toml.h>

#include <algorithm>
#include <fstream>
#include <initializer_list>
#include <iterator>
#include <limits>
#include <sstream>

namespace efistore::update {

namespace {

/// Reads one text; the first error is kept, and what is read after it does not matter.
class ResourceReader {
 public:
  explicit ResourceReader(const std::filesystem::path& file) : file_(file) {}

  Result<Resource> read(const toml::table& table);

 private:
  void fail_at(const toml::node& node, std::string_view reason) {
    if (error_.empty()) {
      error_ = fmt::format("{}:{}: {}", file_.string(), node.source().begin.line, reason);
    }
  }
  void check_keys(const toml::table& table, std::initializer_list<std::string_view> known);
  std::optional<std::string> text(const toml::table& table, std::string_view key, bool needed);
  std::optional<std::uint64_t> number(const toml::table& table, std::string_view key,
                                      std::uint64_t most);
  bool boolean(const toml::table& table, std::string_view key, bool otherwise);
  std::vector<std::string> texts(const toml::table& table, std::string_view key, std::size_t most);

  Extent extent(const toml::node& node);
  Target target(const toml::table& table, std::string_view key);
  void read_identity(const toml::table& table);
  void read_version(const toml::table& table);
  void read_trust(const toml::table& table);
  void read_hooks(const toml::table& table);
  void read_single(const toml::table& table);
  void read_banks(const toml::table& table);
  std::vector<crypto::Certificate> certificates(const toml::node& node, const std::string& path);

  const std::filesystem::path& file_;
  Resource resource_;
  std::string error_;
};

void ResourceReader::check_keys(const toml::table& table,
                                std::initializer_list<std::string_view> known) {
  for (const auto& [key, node] : table) {
    if (std::ranges::find(known, key.str()) == known.end()) {
      fail_at(node, fmt::format("there is no key \"{}\" here, expected {}", key.str(),
                                fmt::join(known, ", ")));
    }
  }
}

std::optional<std::string> ResourceReader::text(const toml::table& table, std::string_view key,
                                                bool needed) {
  const toml::node* node = table.get(key);
  if (node == nullptr) {
    if (needed) fail_at(table, fmt::format("\"{}\" is missing", key));
    return std::nullopt;
  }
  auto value = node->value_exact<std::string>();
  if (!value || value->empty()) {
    fail_at(*node, fmt::format("\"{}\" is no text, or empty", key));
    return std::nullopt;
  }
  return value;
}

std::optional<std::uint64_t> ResourceReader::number(const toml::table& table, std::string_view key,
                                                    std::uint64_t most) {
  const toml::node* node = table.get(key);
  if (node == nullptr) return std::nullopt;
  const auto value = node->value_exact<std::int64_t>();
  if (!value || *value < 0 || static_cast<std::uint64_t>(*value) > most) {
    fail_at(*node, fmt::format("\"{}\" is not a number from 0 to {}", key, most));
    return std::nullopt;
  }
  return static_cast<std::uint64_t>(*value);
}

bool ResourceReader::boolean(const toml::table& table, std::string_view key, bool otherwise) {
  const toml::node* node = table.get(key);
  if (node == nullptr) return otherwise;
  const auto value = node->value_exact<bool>();
  if (!value) fail_at(*node, fmt::format("\"{}\" is neither true nor false", key));
  return value.value_or(otherwise);
}

std::vector<std::string> ResourceReader::texts(const toml::table& table, std::string_view key,
                                               std::size_t most) {
  std::vector<std::string> values;
  const toml::node* node = table.get(key);
  if (node == nullptr) return values;
  const toml::array* array = node->as_array();
  if (array == nullptr || array->empty() || array->size() > most) {
    fail_at(*node, fmt::format("\"{}\" is not a list of 1 to {} texts", key, most));
    return values;
  }
  for (const toml::node& element : *array) {
    auto value = element.value_exact<std::string>();
    if (!value || value->empty()) {
      fail_at(element, fmt::format("\"{}\" holds something else than a text", key));
      return values;
    }
    values.push_back(*std::move(value));
  }
  return values;
}

/// "mtd:fw", or a table with device, offset and size.
Extent ResourceReader::extent(const toml::node& node) {
  if (const auto device = node.value_exact<std::string>(); device && !device->empty()) {
    return {.device = *device};
  }
  const toml::table* table = node.as_table();
  if (table == nullptr) {
    fail_at(node, "expected a device, or a table with device, offset and size");
    return {};
  }
  check_keys(*table, {"device", "offset", "size"});
  Extent read{.device = text(*table, "device", true).value_or("")};
  constexpr auto most = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  read.offset = number(*table, "offset", most).value_or(0);
  read.size_bytes = number(*table, "size", most - read.offset);
  if (read.size_bytes == std::uint64_t{0}) fail_at(node, "\"size\" is 0");
  return read;
}

Target ResourceReader::target(const toml::table& table, std::string_view key) {
  const toml::node* node = table.get(key);
  if (node == nullptr) {
    fail_at(table, fmt::format("\"{}\" is missing", key));
    return {};
  }
  const toml::array* array = node->as_array();
  if (array == nullptr) return {extent(*node)};
  if (array->empty() || array->size() > max_extents) {
    fail_at(*node,
            fmt::format("\"{}\" has {} parts, expected 1 to {}", key, array->size(), max_extents));
    return {};
  }
  Target read;
  for (const toml::node& element : *array) read.push_back(extent(element));
  return read;
}

void ResourceReader::read_identity(const toml::table& table) {
  constexpr std::array types{"unknown", "system", "device", "driver"};
  const std::string type_text = text(table, "image_type", true).value_or("");
  const auto type_id = Guid::parse(type_text);
  if (!type_id || *type_id == Guid()) {
    if (const toml::node* node = table.get("image_type")) {
      fail_at(*node, "\"image_type\" is no GUID like 6f5f2bd5-3e5b-4b0c-9c5d-2c9a4e4c1a01");
    }
  } else {
    resource_.type_id = *type_id;
  }
  resource_.name = text(table, "name", true).value_or("");
  resource_.vendor = text(table, "vendor", false).value_or("");
  resource_.index = static_cast<std::uint8_t>(number(table, "index", 255).value_or(1));
  if (resource_.index == 0) fail_at(*table.get("index"), "\"index\" is 0, expected 1 to 255");
  constexpr auto most_signed = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  resource_.hardware_instance = number(table, "hardware_instance", most_signed).value_or(0);
  constexpr std::uint64_t most = std::numeric_limits<std::uint32_t>::max();
  resource_.capsule_flags =
      static_cast<std::uint32_t>(number(table, "capsule_flags", most).value_or(0));
  if (const auto type = text(table, "type", false)) {
    const auto found = std::ranges::find(types, *type);
    if (found == types.end()) {
      fail_at(*table.get("type"),
              fmt::format("\"type\" is \"{}\", expected {}", *type, fmt::join(types, ", ")));
    }
    resource_.fw_type = static_cast<std::uint32_t>(found - types.begin());
  }
}

void ResourceReader::read_version(const toml::table& table) {
  constexpr std::uint64_t most = std::numeric_limits<std::uint32_t>::max();
  resource_.lowest_supported_version =
      static_cast<std::uint32_t>(number(table, "lowest_supported_version", most).value_or(0));
  const toml::node* node = table.get("version");
  if (node == nullptr) return;
  const toml::table* version = node->as_table();
  if (version == nullptr) {
    fail_at(*node, "\"version\" is no table with one of fixed, file and recorded");
    return;
  }
  check_keys(*version, {"fixed", "file", "recorded"});
  if (version->size() != 1) {
    fail_at(*node, "\"version\" needs exactly one of fixed, file and recorded");
    return;
  }
  VersionSource& source = resource_.version;
  if (const auto file = text(*version, "file", false)) {
    source = {.kind = VersionSource::Kind::file, .version = 0, .file = *file};
  } else if (const auto fixed = number(*version, "fixed", most)) {
    source = {.kind = VersionSource::Kind::fixed, .version = static_cast<std::uint32_t>(*fixed)};
  } else if (const auto recorded = number(*version, "recorded", most)) {
    source.version = static_cast<std::uint32_t>(*recorded);
  }
}

std::vector<crypto::Certificate> ResourceReader::certificates(const toml::node& node,
                                                              const std::string& path) {
  const std::filesystem::path file = file_.parent_path() / path;
  std::error_code error;
  const std::uintmax_t size = std::filesystem::file_size(file, error);
  std::ifstream stream(file, std::ios::binary);
  if (error || !stream || size > crypto::max_certificate_size_bytes) {
    fail_at(node, fmt::format("the certificate {} cannot be read, or is larger than {} bytes",
                              file.string(), crypto::max_certificate_size_bytes));
    return {};
  }
  const std::string content{std::istreambuf_iterator<char>(stream), {}};
  if (content.find("-----BEGIN CERTIFICATE-----") != std::string::npos) {
    auto read = crypto::Certificate::from_pem(content);
    if (read) return *std::move(read);
    fail_at(node, fmt::format("{}: {}", file.string(), read.error().message));
    return {};
  }
  auto read = crypto::Certificate::from_der(std::as_bytes(std::span(content)));
  if (read) return {*std::move(read)};
  fail_at(node, fmt::format("{}: {}", file.string(), read.error().message));
  return {};
}

void ResourceReader::read_trust(const toml::table& table) {
  resource_.form.payload_header = boolean(table, "payload_header", true);
  const bool unsigned_allowed = boolean(table, "allow_unsigned", false);
  const auto paths = texts(table, "certificates", max_trusted_certificates);
  for (const std::string& path : paths) {
    for (auto& certificate : certificates(*table.get("certificates"), path)) {
      resource_.trusted.push_back(std::move(certificate));
    }
  }
  resource_.form.authenticated = !unsigned_allowed;
  resource_.shares_certificates = boolean(table, "shares_certificates", false);
  if (resource_.trusted.size() > max_trusted_certificates) {
    fail_at(*table.get("certificates"),
            fmt::format("more than {} certificates", max_trusted_certificates));
  }
  if (paths.empty() && !unsigned_allowed) {
    fail_at(table,
            "\"certificates\" is missing: who may sign this firmware; without signatures "
            "only with allow_unsigned = true");
  }
  if (!paths.empty() && unsigned_allowed) {
    fail_at(*table.get("allow_unsigned"), "\"allow_unsigned\" leaves nothing for \"certificates\"");
  }
}

void ResourceReader::read_hooks(const toml::table& table) {
  const toml::node* node = table.get("hooks");
  if (node == nullptr) return;
  const toml::table* hooks = node->as_table();
  if (hooks == nullptr) {
    fail_at(*node, "\"hooks\" is no table with before, after and timeout_s");
    return;
  }
  check_keys(*hooks, {"before", "after", "timeout_s"});
  constexpr std::size_t most_words = 64;
  constexpr std::uint64_t most_seconds = 3600;
  resource_.hooks.before = texts(*hooks, "before", most_words);
  resource_.hooks.after = texts(*hooks, "after", most_words);
  for (const auto& command : {resource_.hooks.before, resource_.hooks.after}) {
    if (!command.empty() && !command[0].starts_with('/')) {
      fail_at(*hooks, fmt::format("the hook \"{}\" has no absolute path", command[0]));
    }
  }
  if (const auto seconds = number(*hooks, "timeout_s", most_seconds)) {
    resource_.hooks.timeout = std::chrono::seconds(*seconds);
  }
}

void ResourceReader::read_single(const toml::table& table) {
  resource_.banks = {target(table, "target")};
  for (const std::string_view key : {"bank", "fwu"}) {
    if (const toml::node* node = table.get(key)) {
      fail_at(*node, fmt::format("\"{}\" belongs to scheme = \"ab\"", key));
    }
  }
}

void ResourceReader::read_banks(const toml::table& table) {
  if (const toml::node* node = table.get("target")) {
    fail_at(*node, "\"target\" belongs to scheme = \"single\"; each [[bank]] has one");
  }
  const toml::node* banks_node = table.get("bank");
  const toml::array* banks = banks_node != nullptr ? banks_node->as_array() : nullptr;
  if (banks == nullptr || banks->size() < 2 || banks->size() > 4) {
    fail_at(banks_node != nullptr ? *banks_node : table, "expected two to four times [[bank]]");
    return;
  }
  for (const toml::node& node : *banks) {
    const toml::table* bank = node.as_table();
    if (bank == nullptr) {
      fail_at(node, "\"bank\" is no table with target");
      return;
    }
    check_keys(*bank, {"target"});
    resource_.banks.push_back(target(*bank, "target"));
  }
  const toml::node* fwu_node = table.get("fwu");
  const toml::table* fwu = fwu_node != nullptr ? fwu_node->as_table() : nullptr;
  if (fwu == nullptr) {
    fail_at(fwu_node != nullptr ? *fwu_node : table,
            "expected [fwu] with metadata, two places for FWU metadata");
    return;
  }
  check_keys(*fwu, {"metadata", "max_trial_boots"});
  const Target places = target(*fwu, "metadata");
  if (places.size() != 2 || places[0] == places[1]) {
    fail_at(*fwu_node, "\"metadata\" is not a list of two places");
    return;
  }
  constexpr std::uint64_t most_boots = 1000;
  resource_.fwu = FwuLocation{.metadata = {places[0], places[1]},
                              .max_trial_boots = static_cast<unsigned>(
                                  number(*fwu, "max_trial_boots", most_boots).value_or(3))};
}

Result<Resource> ResourceReader::read(const toml::table& table) {
  resource_.file = file_;
  check_keys(table, {"image_type", "index", "hardware_instance", "name", "vendor", "type",
                     "capsule_flags", "scheme", "target", "bank", "fwu", "version",
                     "lowest_supported_version", "payload_header", "certificates", "allow_unsigned",
                     "shares_certificates", "guard_first_block", "hooks"});
  read_identity(table);
  read_version(table);
  read_trust(table);
  read_hooks(table);
  resource_.guard_first_block = boolean(table, "guard_first_block", false);
  const std::string scheme = text(table, "scheme", false).value_or("single");
  if (scheme == "ab") {
    resource_.scheme = Scheme::ab;
    read_banks(table);
  } else if (scheme == "single") {
    read_single(table);
  } else {
    fail_at(*table.get("scheme"),
            fmt::format("\"scheme\" is \"{}\", expected single or ab", scheme));
  }
  if (!error_.empty()) return fail(Errc::invalid_argument, error_);
  return std::move(resource_);
}

/// Every extent of a resource, those of its metadata apart: these may be shared.
std::vector<Extent> extents_of(const Resource& resource) {
  std::vector<Extent> extents;
  for (const Target& bank : resource.banks) extents.insert(extents.end(), bank.begin(), bank.end());
  return extents;
}

bool overlap(const Extent& a, const Extent& b) noexcept {
  if (a.device != b.device) return false;
  const auto end = [](const Extent& extent) {
    return extent.size_bytes ? extent.offset + *extent.size_bytes
                             : std::numeric_limits<std::uint64_t>::max();
  };
  return a.offset < end(b) && b.offset < end(a);
}

Status check_together(const std::vector<Resource>& resources) {
  struct Place {
    const Resource* resource;
    Extent extent;
    bool is_metadata;
  };
  std::vector<Place> places;
  const auto claim = [&places](const Place& place) -> Status {
    for (const Place& other : places) {
      if (!overlap(place.extent, other.extent)) continue;
      if (place.is_metadata && other.is_metadata && place.extent == other.extent &&
          place.resource != other.resource) {
        continue;
      }
      return fail(Errc::invalid_argument,
                  fmt::format("{}: its part of {} from {} on overlaps one of {}",
                              place.resource->file.string(), place.extent.device,
                              place.extent.offset, other.resource->file.string()));
    }
    places.push_back(place);
    return {};
  };
  for (auto resource = resources.begin(); resource != resources.end(); ++resource) {
    const auto twin = std::find_if(resources.begin(), resource, [&](const Resource& other) {
      return other.type_id == resource->type_id && other.index == resource->index &&
             other.hardware_instance == resource->hardware_instance;
    });
    if (twin != resource) {
      return fail(Errc::invalid_argument,
                  fmt::format("{}: {} has the same image_type, index and hardware_instance",
                              resource->file.string(), twin->file.string()));
    }
    for (auto other = resources.begin(); other != resource; ++other) {
      const bool is_shared = std::ranges::any_of(resource->trusted, [&](const auto& certificate) {
        return std::ranges::find(other->trusted, certificate) != other->trusted.end();
      });
      if (is_shared && !(resource->shares_certificates && other->shares_certificates)) {
        return fail(Errc::invalid_argument,
                    fmt::format("{}: it trusts a certificate of {}; no signature says which of the "
                                "two a payload is for, so both need shares_certificates = true",
                                resource->file.string(), other->file.string()));
      }
    }
    for (const Extent& extent : extents_of(*resource)) {
      if (Status claimed = claim({&*resource, extent, false}); !claimed) return claimed;
    }
    if (!resource->fwu) continue;
    for (const Extent& extent : resource->fwu->metadata) {
      if (Status claimed = claim({&*resource, extent, true}); !claimed) return claimed;
    }
  }
  return {};
}

}  // namespace

Result<Resource> parse_resource(const std::filesystem::path& file, std::string_view text) {
  const toml::parse_result parsed = toml::parse(text);
  if (!parsed) {
    return fail(Errc::invalid_argument,
                fmt::format("{}:{}: {}", file.string(), parsed.error().source().begin.line,
                            parsed.error().description()));
  }
  return ResourceReader(file).read(parsed.table());
}

Result<std::vector<Resource>> load_resources(const std::filesystem::path& folder) {
  std::vector<Resource> resources;
  std::error_code error;
  std::vector<std::filesystem::path> files;
  for (std::filesystem::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    if (entry->path().extension() == ".toml") files.push_back(entry->path());
  }
  if (error == std::errc::no_such_file_or_directory) return resources;
  if (error) return fail_errno(error.value(), folder.string());
  std::ranges::sort(files);
  if (files.size() > max_resources) {
    return fail(Errc::invalid_argument,
                fmt::format("{}: more than {} firmware resources", folder.string(), max_resources));
  }
  for (const auto& file : files) {
    const std::uintmax_t size = std::filesystem::file_size(file, error);
    if (error) return fail_errno(error.value(), file.string());
    if (size > max_resource_file_size_bytes) {
      return fail(Errc::invalid_argument,
                  fmt::format("{}: {} bytes, expected at most {}", file.string(), size,
                              max_resource_file_size_bytes));
    }
    std::ifstream stream(file, std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(stream), {}};
    if (!stream.is_open() || stream.bad())
      return fail(Errc::io, file.string() + ": cannot be read");
    auto resource = parse_resource(file, text);
    if (!resource) return forward(std::move(resource));
    resources.push_back(*std::move(resource));
  }
  if (Status checked = check_together(resources); !checked) return forward(std::move(checked));
  return resources;
}

}  // namespace efistore::update
