// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// A structure of a file as it is shown: each field with the byte at which it stands, for people and
// as JSON.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "json.hpp"

namespace efistore::tools {

class ShownStructure {
 public:
  /// What begins at byte `offset` of the file.
  ShownStructure(std::string title, std::uint64_t offset)
      : title_(std::move(title)), offset_(offset) {}

  /// How a field is called in JSON, and in the specification.
  struct Names {
    std::string key;
    std::string name;
  };
  /// A field that stands `at` bytes from the structure's beginning, as JSON has it and people read
  /// it; the latter is escaped here.
  void add(Names names, std::uint64_t at, Json value, std::string text);
  /// A number, shown as JSON writes it.
  void add(Names names, std::uint64_t at, std::uint64_t value);
  /// What follows from fields, for people.
  void note(std::string name, std::string text);
  /// What follows from fields, as JSON.
  void set(const std::string& key, Json value);

  /// {"offset", each key, "offsets": {each field's key: the byte of the file}}
  Json json() const;
  /// A title and a line for each field.
  std::string text() const;

 private:
  struct Line {
    std::optional<std::uint64_t> offset;
    std::string name;
    std::string text;
  };
  std::string title_;
  std::uint64_t offset_;
  std::vector<Line> lines_;
  Json values_ = Json::object();
  Json offsets_ = Json::object();
};

}  // namespace efistore::tools
