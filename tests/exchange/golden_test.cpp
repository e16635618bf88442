// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Files that other programs wrote.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "exchange/support.hpp"
#include "support/vectors.hpp"

namespace efistore::exchange::testing {
namespace {

using ::testing::IsEmpty;

class Golden : public ::testing::Test {
 protected:
  void SetUp() override { EFISTORE_NEED_VECTORS(); }

  static std::vector<std::byte> read(std::string_view name) {
    const auto content = test::load_vector("store/" + std::string(name));
    EXPECT_TRUE(content) << content.error().message;
    return content.value_or(std::vector<std::byte>{});
  }

  /// `name` comes back as it was, as a value of JSON.
  static void expect_qemu_comes_back(std::string_view name, std::size_t count,
                                     const QemuOptions& options) {
    SCOPED_TRACE(name);
    const std::vector<std::byte> original = read(name);
    const auto imported = import_qemu(original);
    ASSERT_TRUE(imported) << imported.error().message;
    EXPECT_THAT(imported->losses, IsEmpty());
    EXPECT_EQ(imported->variables.size(), count);
    const Exported exported = export_qemu(imported->variables, options);
    EXPECT_THAT(exported.losses, IsEmpty());
    EXPECT_EQ(nlohmann::json::parse(text_of(exported.bytes)),
              nlohmann::json::parse(text_of(original)));
  }
};

/// The variable of that name; a failure, and an empty one, if there is none.
store::Variable find(const Imported& imported, std::u16string_view name) {
  const auto found = std::ranges::find(imported.variables, name, &store::Variable::name);
  EXPECT_NE(found, imported.variables.end());
  return found == imported.variables.end() ? store::Variable{} : *found;
}

TEST_F(Golden, QemuWritesWhatQemuWrote) {
  expect_qemu_comes_back("q01-qemu-10.0.2-uefivars-sample.json", 8, {});
}

TEST_F(Golden, QemuWritesWhatVirtFwVarsWrote) {
  expect_qemu_comes_back("v01.json", 6, {.omit_zero_time = true});
  expect_qemu_comes_back("v03.json", 10, {.omit_zero_time = true});
  expect_qemu_comes_back("v08.json", 31, {.omit_zero_time = true});
}

TEST_F(Golden, QemuVariablesAreTheOnesKnown) {
  const auto imported = import_qemu(read("v01.json"));
  ASSERT_TRUE(imported) << imported.error().message;
  const store::Variable key = find(*imported, u"PK");
  EXPECT_EQ(key.guid, guids::global_variable);
  EXPECT_EQ(key.attributes, 0x27U);
  EXPECT_EQ(key.data.size(), 976U);
  EXPECT_EQ(to_string(key.time), "2014-10-31T11:15:37");
  EXPECT_EQ(find(*imported, u"dbx").data.size(), 76U);
}

TEST_F(Golden, UbootefiIsWrittenAsUBootWroteIt) {
  const std::vector<std::byte> original = read("u01-uboot-2025.01-real.ubootefi.var");
  const auto imported = import_ubootefi(original);
  ASSERT_TRUE(imported) << imported.error().message;
  EXPECT_THAT(imported->losses, IsEmpty());
  ASSERT_EQ(imported->variables.size(), 7U);
  EXPECT_EQ(find(*imported, u"PlatformLang").data, bytes_of(std::string_view("en-US\0", 6)));
  EXPECT_EQ(find(*imported, u"PeerUbBs").attributes, 3U);
  EXPECT_EQ(text_of(find(*imported, u"PeerUbStr").data), "hello uboot");
  const Exported exported = export_ubootefi(imported->variables);
  EXPECT_THAT(exported.losses, IsEmpty());
  EXPECT_EQ(to_hex(exported.bytes), to_hex(original));
}

}  // namespace
}  // namespace efistore::exchange::testing
