// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Images that other software wrote, against what that software says is in them.
#include <nlohmann/json.hpp>

#include "efistore/base/ucs2.hpp"
#include "efistore/variable/variable_id.hpp"

#include "store/store_fixture.hpp"
#include "support/vectors.hpp"

namespace efistore::test {
namespace {

struct Golden {
  const char* image;
  const char* json;
};

class GoldenImage : public testing::TestWithParam<Golden> {};

/// What virt-fw-vars printed of the image, by name: attributes, data and time in hex.
std::map<std::string, std::string> expected_variables(const Bytes& json) {
  const auto document =
      nlohmann::json::parse(reinterpret_cast<const char*>(json.data()),
                            reinterpret_cast<const char*>(json.data()) + json.size());
  std::map<std::string, std::string> variables;
  for (const auto& entry : document.at("variables")) {
    const std::string time = entry.value("time", "");
    const bool timed = time.find_first_not_of('0') != std::string::npos;
    const std::string id =
        entry.at("name").get<std::string>() + "-" + entry.at("guid").get<std::string>();
    variables[id] = std::to_string(entry.at("attr").get<unsigned>()) + " " +
                    entry.at("data").get<std::string>() + " " + (timed ? time : "");
  }
  return variables;
}

TEST_P(GoldenImage, HoldsWhatItsProducerSays) {
  EFISTORE_NEED_VECTORS();
  const auto image = load_vector(std::string("store/") + GetParam().image);
  ASSERT_TRUE(image) << image.error().message;
  const auto json = load_vector(std::string("store/") + GetParam().json);
  ASSERT_TRUE(json) << json.error().message;
  const auto opened = store::VariableStore::open(device_of(*image), {.read_only = true});
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_FALSE(opened->report().damaged);
  std::map<std::string, std::string> found;
  for (const auto* r = opened->first(); r != nullptr; r = opened->next(*r)) {
    // virt-fw-vars leaves a time of zero out in some versions and writes it in others.
    const bool timed = (r->attributes & 0x20) != 0 && !r->time.is_zero();
    found[variable::to_string(r->name, r->guid)] = std::to_string(r->attributes) + " " +
                                                   to_hex(r->data) + " " +
                                                   (timed ? to_hex(r->time.bytes) : "");
  }
  const auto expected = expected_variables(*json);
  // One by one: a difference of two whole maps would print megabytes.
  for (const auto& [id, content] : expected) EXPECT_EQ(found[id], content) << id;
  EXPECT_EQ(found.size(), expected.size());
}

INSTANTIATE_TEST_SUITE_P(Vectors, GoldenImage,
                         testing::Values(Golden{"v01-ovmf4m-redhat-ms.fd.xz", "v01.json"},
                                         Golden{"v03-ovmf4m-boot-entries.fd.xz", "v03.json"},
                                         Golden{"v08-ovmf4m-edk2written-ms.fd.xz", "v08.json"}),
                         [](const auto& tested) {
                           return std::string(tested.param.json).substr(0, 3);
                         });

TEST(GoldenImages, TheTwoMegabyteLayoutHoldsItsKeys) {
  EFISTORE_NEED_VECTORS();
  const auto opened =
      store::VariableStore::open(device_of(load_vector("store/v06-ovmf2m-ms.fd.xz").value()),
                                 {.read_only = true})
          .value();
  EXPECT_EQ(opened.layout().name(), "ovmf-2m");
  EXPECT_NE(opened.find(u"PK", guids::global_variable), nullptr);
  EXPECT_NE(opened.find(u"db", guids::image_security_database), nullptr);
}

TEST(GoldenImages, StatesOfRealEdk2AreCounted) {
  EFISTORE_NEED_VECTORS();
  const auto opened = store::VariableStore::open(
                          device_of(load_vector("store/v08-ovmf4m-edk2written-ms.fd.xz").value()),
                          {.read_only = true})
                          .value();
  EXPECT_EQ(opened.usage().live_records, 31U);
  EXPECT_EQ(opened.usage().dead_records, 26U);
}

TEST(GoldenImages, AReclaimOfRealEdk2sStoreKeepsEveryVariable) {
  EFISTORE_NEED_VECTORS();
  auto opened = store::VariableStore::open(
                    device_of(load_vector("store/v08-ovmf4m-edk2written-ms.fd.xz").value()))
                    .value();
  std::vector<store::Variable> before;
  for (const auto* r = opened.first(); r != nullptr; r = opened.next(*r)) {
    before.push_back(r->to_variable());
  }
  ASSERT_TRUE(opened.reclaim());
  std::vector<store::Variable> after;
  for (const auto* r = opened.first(); r != nullptr; r = opened.next(*r)) {
    after.push_back(r->to_variable());
  }
  EXPECT_EQ(before, after);
  EXPECT_EQ(opened.usage().dead_records, 0U);
}

}  // namespace
}  // namespace efistore::test
