// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/variable/variable_id.hpp"

#include "efistore/base/ucs2.hpp"

namespace efistore::variable {

std::string to_string(std::u16string_view name, const Guid& guid) {
  return to_utf8(name) + "-" + efistore::to_string(guid);
}

std::string to_string(const VariableId& id) {
  return to_string(id.name, id.guid);
}

std::optional<VariableId> parse_variable_id(std::string_view text) {
  Guid guid = guids::global_variable;
  if (text.size() > guid_text_size && text[text.size() - guid_text_size - 1] == '-') {
    if (const auto parsed = Guid::parse(text.substr(text.size() - guid_text_size))) {
      guid = *parsed;
      text.remove_suffix(guid_text_size + 1);
    }
  }
  auto name = from_utf8(text);
  if (!name || name->empty() || name->find(u'\0') != std::u16string::npos) return std::nullopt;
  return VariableId{.name = std::move(*name), .guid = guid};
}

}  // namespace efistore::variable
