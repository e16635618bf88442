// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Metadata of U-Boot's mkfwumdata, read and written again.
#include "efistore/capsule/fwu_metadata.hpp"

#include <gmock/gmock.h>

#include "capsule/capsule_support.hpp"

namespace efistore::capsule::test {
namespace {

using ::testing::HasSubstr;

TEST(FwuMetadata, OfMkfwumdataIsReadAndWrittenAgain) {
  EFISTORE_NEED_VECTORS();
  for (const std::uint32_t version : {1U, 2U}) {
    for (const std::size_t images : {std::size_t{1}, std::size_t{2}}) {
      const Bytes bytes =
          load("fwu/mdata-v" + std::to_string(version) + "-" + std::to_string(images) + "img.bin");
      const auto metadata = parse_fwu_metadata(bytes);
      ASSERT_TRUE(metadata) << metadata.error().message;
      EXPECT_EQ(version, metadata->version);
      EXPECT_EQ(images - 1, metadata->active_index);
      EXPECT_EQ(2 - images, metadata->previous_index);
      ASSERT_EQ(images, metadata->images.size());
      ASSERT_EQ(2U, metadata->bank_count());
      EXPECT_EQ(type_a, metadata->images[0].type_id);
      EXPECT_EQ("aaaaaaaa-0000-0000-0000-000000000002",
                to_string(metadata->images[0].banks[1].image_guid));
      EXPECT_EQ(images == 2, metadata->find(type_b) != nullptr);
      EXPECT_FALSE(metadata->is_trial());
      EXPECT_EQ(version == 2 ? BankState::accepted : BankState::invalid, metadata->bank_states[1]);
      EXPECT_EQ(bytes, encode_fwu_metadata(*metadata));
      // As it stands in a partition.
      Bytes partition = bytes;
      partition.resize(65536, std::byte{0xff});
      EXPECT_EQ(bytes, encode_fwu_metadata(parse_fwu_metadata(partition).value()));
    }
  }
}

TEST(FwuMetadata, EveryBitCounts) {
  EFISTORE_NEED_VECTORS();
  for (const std::string name : {"fwu/mdata-v1-2img.bin", "fwu/mdata-v2-2img.bin"}) {
    const Bytes original = load(name);
    for (std::size_t at = 0; at < original.size(); ++at) {
      for (unsigned bit = 0; bit < 8; ++bit) {
        Bytes bytes = original;
        bytes[at] ^= static_cast<std::byte>(1U << bit);
        EXPECT_FALSE(parse_fwu_metadata(bytes)) << name << " " << at << "." << bit;
      }
    }
    for (std::size_t size = 0; size < original.size(); ++size) {
      EXPECT_FALSE(parse_fwu_metadata(std::span(original).first(size))) << name << " " << size;
    }
  }
}

TEST(FwuMetadata, ErrorsNameTheField) {
  const auto error = [](const Bytes& bytes) {
    const auto metadata = parse_fwu_metadata(bytes);
    return metadata ? "" : metadata.error().message;
  };
  EXPECT_THAT(error(Bytes(4096, std::byte{0xff})), HasSubstr("nothing is written there"));
  EXPECT_THAT(error(Bytes(4096)), HasSubstr("nothing is written there"));
  FwuMetadata metadata;
  metadata.images = {{type_a, Guid(), {BankImage{}, BankImage{}}}};
  const auto with = [&metadata](auto change) {
    FwuMetadata changed = metadata;
    change(changed);
    return encode_fwu_metadata(changed);
  };
  EXPECT_EQ("", error(encode_fwu_metadata(metadata)));
  EXPECT_THAT(error(with([](FwuMetadata& m) { m.version = 3; })),
              HasSubstr("version at byte 4 is 3, expected 1 or 2"));
  EXPECT_THAT(error(with([](FwuMetadata& m) { m.active_index = 2; })),
              HasSubstr("active_index at byte 8 is 2, expected 0 to 1"));
  EXPECT_THAT(error(with([](FwuMetadata& m) { m.previous_index = 7; })),
              HasSubstr("previous_active_index at byte 12 is 7, expected 0 to 1"));
  EXPECT_THAT(error(with([](FwuMetadata& m) { m.bank_states[1] = BankState{0x12}; })),
              HasSubstr("bank_state[1] at byte 25 is 0x12"));
  EXPECT_TRUE(parse_fwu_metadata(encode_fwu_metadata(metadata))->is_trial());
}

}  // namespace
}  // namespace efistore::capsule::test
