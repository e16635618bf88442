// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Signature lists. What is read comes back the same when it is put together again, and nothing of
// it is new to itself.
#include <span>
#include <vector>

#include "efistore/base/bytes.hpp"
#include "efistore/variable/signature_list.hpp"

#include "target.hpp"

namespace efistore::fuzz {
namespace {

void check(std::span<const std::byte> bytes) {
  const auto lists = variable::parse_signature_lists(bytes);
  const Status checked = variable::check_signature_lists(bytes, false);
  const Status as_platform_key = variable::check_signature_lists(bytes, true);
  const auto fresh = variable::new_signatures({}, bytes);
  if (!lists) {
    require(lists.error().code == Errc::invalid_argument, "refusals are invalid_argument");
    require(!checked && !as_platform_key, "what cannot be read does not pass");
    require(fresh.empty(), "malformed bytes hold no signatures");
    return;
  }
  require(checked || !as_platform_key, "a platform key passes as any other key");
  std::size_t signatures = 0;
  std::size_t size = 0;
  for (const auto& list : *lists) {
    require(list.offset == size, "lists follow one another");
    size += 28 + list.header.size() + list.signatures.size() * list.signature_size;
    signatures += list.signatures.size();
    for (const auto& signature : list.signatures) {
      require(signature.data.size() + 16 == list.signature_size, "signatures have the list's size");
    }
  }
  require(size == bytes.size(), "lists fill the bytes");
  require(!as_platform_key || signatures <= 1, "there is one platform key");
  require(variable::new_signatures(bytes, bytes).empty(), "nothing is new to itself");
  require(variable::new_signatures(bytes, fresh).empty(), "what is fresh was there");
  require(variable::new_signatures({}, fresh) == fresh, "what is fresh is so once");
  require(fresh.size() <= bytes.size(), "nothing is added");
}

}  // namespace
}  // namespace efistore::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  efistore::fuzz::check(std::as_bytes(std::span(data, size)));
  return 0;
}
