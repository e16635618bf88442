// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "variable/services_fixture.hpp"

#include <ostream>

namespace efistore {

void PrintTo(EfiStatus status, std::ostream* out) {
  *out << to_string(status);
}

namespace test {

variable::Limits distinct_limits() {
  return {.max_variable_size = 0x200,
          .max_authenticated_size = 0x280,
          .max_volatile_size = 0x180,
          .max_hardware_error_size = 0x300,
          .hardware_error_storage_size = 0x400,
          .volatile_store_size = 0x800};
}

std::uint32_t padded_size(std::u16string_view name, std::size_t data_size,
                          store::RecordFormat format) {
  const std::size_t size =
      store::record_header_size(format) + (name.size() + 1) * sizeof(char16_t) + data_size;
  return static_cast<std::uint32_t>((size + 3) / 4 * 4);
}

std::string unsigned_auth2(std::string_view payload) {
  Bytes bytes(40);
  ByteWriter writer(bytes);
  writer.fill(16, std::byte{0});  // EFI_TIME
  writer.u32(24);                 // dwLength: the certificate's header and no data
  writer.u16(0x0200);
  writer.u16(0x0ef1);
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()).append(payload);
}

void ServicesTest::start(const StoreSetup& setup) {
  start_from(blank_image(small_layout(setup.format)), setup.options);
}

void ServicesTest::start_from(Bytes image, const variable::Options& options) {
  services_.reset();
  auto memory = std::make_unique<flash::MemoryDevice>(std::move(image), 0x1000);
  memory_ = memory.get();
  auto recording = std::make_unique<RecordingDevice>(std::move(memory));
  flash_ = recording.get();
  auto opened = store::VariableStore::open(std::move(recording));
  ASSERT_TRUE(opened) << opened.error().message;
  auto created = variable::Services::create(std::move(*opened), options);
  ASSERT_TRUE(created) << created.error().message;
  services_.emplace(std::move(*created));
  flash_->take();
}

void ServicesTest::restart(const variable::Options& options) {
  start_from(image(), options);
}

EfiStatus ServicesTest::set(std::u16string_view name, std::uint32_t attributes,
                            std::string_view data, const Guid& guid) {
  return services_
      ->set({.name = name, .guid = guid, .attributes = attributes, .data = as_bytes(data)})
      .status();
}

std::string ServicesTest::get(std::u16string_view name, const Guid& guid) const {
  const auto found = services_->get(name, guid);
  if (!found) return std::string(to_string(found.status()));
  return {reinterpret_cast<const char*>(found->data.data()), found->data.size()};
}

std::string ServicesTest::listing() const {
  std::string text;
  std::u16string name;
  Guid guid;
  while (true) {
    const auto next = services_->get_next(name, guid);
    if (!next) {
      EXPECT_EQ(next.status(), EfiStatus::not_found);
      return text;
    }
    name = next->name;
    guid = next->guid;
    if (!text.empty()) text += ' ';
    for (const char16_t c : name) text += static_cast<char>(c);
    text += '=';
    for (const std::byte b : next->data) text += static_cast<char>(b);
  }
}

}  // namespace test
}  // namespace efistore
