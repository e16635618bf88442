// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "capsule_document.hpp"

#include <fmt/format.h>

#include "common/escape.hpp"

namespace efistore::tools {

void ShownStructure::add(Names names, std::uint64_t at, Json value, std::string text) {
  lines_.push_back({offset_ + at, std::move(names.name), std::move(text)});
  values_[names.key] = std::move(value);
  offsets_[names.key] = offset_ + at;
}

void ShownStructure::add(Names names, std::uint64_t at, std::uint64_t value) {
  add(std::move(names), at, value, fmt::format("{}", value));
}

void ShownStructure::note(std::string name, std::string text) {
  lines_.push_back({std::nullopt, std::move(name), std::move(text)});
}

void ShownStructure::set(const std::string& key, Json value) {
  values_[key] = std::move(value);
}

Json ShownStructure::json() const {
  Json json{{"offset", offset_}};
  json.update(values_);
  json["offsets"] = offsets_;
  return json;
}

std::string ShownStructure::text() const {
  std::string text = fmt::format("{}\n", escape(title_, EscapeStyle::line));
  for (const Line& line : lines_) {
    const std::string offset = line.offset ? fmt::format("{:#010x}", *line.offset) : std::string();
    text += fmt::format("  {:<10}  {:<24}{}\n", offset, line.name,
                        escape(line.text, EscapeStyle::line));
  }
  return text;
}

}  // namespace efistore::tools
