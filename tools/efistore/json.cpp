// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "json.hpp"

#include <CLI/App.hpp>
#include <vector>

#include "efistore/base/attributes.hpp"
#include "efistore/base/bytes.hpp"
#include "efistore/base/ucs2.hpp"

#include "common/file_io.hpp"

namespace efistore::tools {

namespace {

constexpr int indentation = 2;

}  // namespace

std::string name_in_hex(std::u16string_view name) {
  std::vector<std::byte> bytes(name.size() * 2);
  ByteWriter writer(bytes);
  for (const char16_t unit : name) writer.u16(unit);
  return to_hex(bytes);
}

void print_json(const Json& value) {
  print(value.dump(indentation, ' ', false, Json::error_handler_t::replace));
  print("\n");
}

Json variable_json(const variable::VariableView& view) {
  Json variable;
  variable["name"] = to_utf8(view.name);
  if (has_lone_surrogate(view.name)) variable["name_utf16"] = name_in_hex(view.name);
  variable["guid"] = to_string(view.guid);
  variable["attributes"] = view.attributes;
  variable["attribute_names"] = attributes_to_string(view.attributes);
  variable["size"] = view.data.size();
  return variable;
}

void add_data(Json& variable, const variable::VariableView& view) {
  variable["data"] = to_hex(view.data);
  if (!view.time.is_zero()) variable["time"] = to_string(view.time);
}

Json range_json(const flash::Range& range) {
  return Json{{"offset", range.offset}, {"size", range.size}};
}

}  // namespace efistore::tools
