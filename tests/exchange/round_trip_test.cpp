// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// What goes out comes back, for variables that a seeded generator makes up.
#include <algorithm>
#include <random>
#include <set>

#include "efistore/base/ucs2.hpp"

#include "exchange/support.hpp"

namespace efistore::exchange::testing {
namespace {

using ::testing::IsEmpty;

constexpr unsigned sets_of_variables = 100;

class Generator {
 public:
  explicit Generator(unsigned seed) : random_(seed) {}

  unsigned below(unsigned bound) {
    return std::uniform_int_distribution<unsigned>(0, bound - 1)(random_);
  }

  std::u16string name(bool lone_surrogates) {
    std::u16string name;
    const unsigned size = 1 + below(20);
    while (name.size() < size) {
      switch (below(5)) {
        case 0:
          name += static_cast<char16_t>(1 + below(0x1f));
          break;
        case 1:
          name += static_cast<char16_t>(0x80 + below(0xd800 - 0x80));
          break;
        case 2:
          name += u"\U0001f600";
          break;
        case 3:
          name += lone_surrogates ? static_cast<char16_t>(0xd800 + below(0x800)) : u'\uffff';
          break;
        default:
          name += static_cast<char16_t>(0x20 + below(0x5f));
      }
    }
    return name;
  }

  void fill(std::span<std::byte> bytes) {
    for (std::byte& b : bytes) b = static_cast<std::byte>(below(256));
  }

  store::Variable variable(bool lone_surrogates) {
    store::Variable variable;
    variable.name = name(lone_surrogates);
    if (below(2) == 0) fill(variable.guid.bytes);
    variable.attributes = static_cast<std::uint32_t>(random_()) & 0xfffffffe;
    variable.data.resize(below(4) == 0 ? 0 : below(300));
    fill(variable.data);
    if (below(2) == 0) fill(variable.time.bytes);
    if (below(2) == 0) variable.monotonic_count = random_() * 0x100000001ULL;
    if (below(2) == 0) variable.public_key_index = static_cast<std::uint32_t>(random_());
    return variable;
  }

  std::vector<store::Variable> variables(bool lone_surrogates) {
    std::vector<store::Variable> variables;
    std::set<std::pair<std::u16string, Guid>> seen;
    for (unsigned i = below(20); i > 0; --i) {
      store::Variable next = variable(lone_surrogates);
      if (seen.emplace(next.name, next.guid).second) variables.push_back(std::move(next));
    }
    return variables;
  }

 private:
  std::mt19937 random_;
};

/// Makes of `variables` what a foreign format carries whole.
void restrict_to_foreign(std::vector<store::Variable>& variables) {
  for (store::Variable& variable : variables) {
    variable.attributes = (variable.attributes & 0x3f) | attributes::non_volatile;
    variable.monotonic_count = 0;
    variable.public_key_index = 0;
    if ((variable.attributes & time_based) == 0) variable.time = {};
  }
}

TEST(RoundTrip, EfistoreJsonIsLossless) {
  for (unsigned seed = 0; seed < sets_of_variables; ++seed) {
    SCOPED_TRACE(seed);
    const auto variables = Generator(seed).variables(true);
    const Exported exported = export_json(variables);
    EXPECT_THAT(exported.losses, IsEmpty());
    const auto imported = import_json(exported.bytes);
    ASSERT_TRUE(imported) << imported.error().message;
    EXPECT_THAT(imported->losses, IsEmpty());
    ASSERT_EQ(imported->variables, variables);
  }
}

TEST(RoundTrip, EveryCharacterOfANameComesBack) {
  // 256 characters a name, so that no name has both halves of a surrogate pair.
  std::vector<store::Variable> variables;
  for (unsigned first = 0; first <= 0xff00; first += 0x100) {
    std::u16string name;
    for (unsigned unit = std::max(first, 1U); unit < first + 0x100; ++unit) {
      name += static_cast<char16_t>(unit);
    }
    variables.push_back(make_variable(name));
  }
  const auto json = import_json(export_json(variables).bytes);
  ASSERT_TRUE(json) << json.error().message;
  EXPECT_EQ(json->variables, variables);
  const auto uboot = import_ubootefi(export_ubootefi(variables).bytes);
  ASSERT_TRUE(uboot) << uboot.error().message;
  EXPECT_EQ(uboot->variables, variables);
  std::erase_if(variables, [](const auto& variable) { return has_lone_surrogate(variable.name); });
  const auto qemu = import_qemu(export_qemu(variables).bytes);
  ASSERT_TRUE(qemu) << qemu.error().message;
  EXPECT_EQ(qemu->variables, variables);
}

TEST(RoundTrip, QemuCarriesWhatItsFormatHas) {
  for (unsigned seed = 0; seed < sets_of_variables; ++seed) {
    SCOPED_TRACE(seed);
    auto variables = Generator(seed).variables(false);
    restrict_to_foreign(variables);
    for (const bool omit_zero_time : {false, true}) {
      for (const TimeKey key : {TimeKey::time, TimeKey::timestamp}) {
        const Exported exported =
            export_qemu(variables, {.time_key = key, .omit_zero_time = omit_zero_time});
        for (const std::string& loss : exported.losses) {
          EXPECT_THAT(loss, ::testing::HasSubstr("beyond ASCII"));
        }
        const auto imported = import_qemu(exported.bytes);
        ASSERT_TRUE(imported) << imported.error().message;
        EXPECT_THAT(imported->losses, IsEmpty());
        ASSERT_EQ(imported->variables, variables);
      }
    }
  }
}

TEST(RoundTrip, UbootefiCarriesWhatItsFormatHas) {
  for (unsigned seed = 0; seed < sets_of_variables; ++seed) {
    SCOPED_TRACE(seed);
    Generator generator(seed);
    auto variables = generator.variables(true);
    restrict_to_foreign(variables);
    for (store::Variable& variable : variables) {
      if (variable.time.is_zero()) continue;
      variable.time =
          EfiTime::from_unix(1 + static_cast<std::int64_t>(generator.below(UINT32_MAX)));
    }
    const Exported exported = export_ubootefi(variables);
    EXPECT_THAT(exported.losses, IsEmpty());
    const auto imported = import_ubootefi(exported.bytes);
    ASSERT_TRUE(imported) << imported.error().message;
    EXPECT_THAT(imported->losses, IsEmpty());
    ASSERT_EQ(imported->variables, variables);
  }
}

}  // namespace
}  // namespace efistore::exchange::testing
