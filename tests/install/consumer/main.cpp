// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// A program of somebody else's: it writes a variable to a store in memory and reads it back from
// a copy of that store, and exports it, so that every layer of the library is linked.
#include <array>
#include <cstddef>
#include <cstdio>
#include <memory>
#include <utility>

#include <efistore/exchange/exchange.hpp>
#include <efistore/flash/memory_device.hpp>
#include <efistore/flash/open.hpp>
#include <efistore/store/layout.hpp>
#include <efistore/store/variable_store.hpp>
#include <efistore/variable/services.hpp>

namespace {

constexpr auto guid = *efistore::Guid::parse("12345678-1234-5678-0102-030405060708");

int report(const char* what) {
  std::fprintf(stderr, "consumer: %s\n", what);
  return 1;
}

}  // namespace

int main() {
  const auto layout = efistore::store::Layout::ovmf_2m();
  auto device = std::make_unique<efistore::flash::MemoryDevice>(efistore::flash::Geometry{
      .size_bytes = layout.volume_size_bytes, .erase_block_size_bytes = layout.block_size_bytes});
  if (!efistore::store::VariableStore::format(*device, layout)) return report("format failed");
  auto store = efistore::store::VariableStore::open(std::move(device));
  if (!store) return report(store.error().message.c_str());
  auto services = efistore::variable::Services::create(std::move(*store));
  if (!services) return report("create failed");

  const std::array data{std::byte{1}, std::byte{2}};
  if (!services->set({.name = u"Consumer", .guid = guid, .attributes = 7, .data = data})) {
    return report("set failed");
  }
  const auto variable = services->get(u"Consumer", guid);
  if (!variable || variable->data.size() != data.size()) return report("get failed");

  // There is no such device; the look-up is what is linked and run here.
  if (efistore::flash::open_device("mtd:efistore consumer", efistore::flash::OpenMode::read_only)) {
    return report("a device that cannot be was opened");
  }
  const auto exported = efistore::exchange::export_json({});
  if (exported.bytes.empty()) return report("export failed");
  std::puts("consumer: 2 bytes read back");
  return 0;
}
