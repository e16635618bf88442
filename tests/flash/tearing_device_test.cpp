// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// The flash that loses power is what the power-cut tests rest on: each of its promises has a test.
#include "support/tearing_device.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <string>
#include <vector>

#include "efistore/base/bytes.hpp"

namespace efistore::test {
namespace {

using Bytes = std::vector<std::byte>;
using ::testing::ElementsAre;

constexpr std::size_t block = 512;
constexpr std::uint64_t seeds = 50;

Medium medium_of(std::byte fill) {
  return {.content = Bytes(4 * block, fill), .erase_block_size_bytes = block};
}

Bytes read_at(TearingDevice& device, std::size_t offset, std::size_t size) {
  Bytes bytes(size);
  EXPECT_TRUE(device.read(offset, bytes));
  return bytes;
}

Bytes read_all(TearingDevice& device) {
  return read_at(device, 0, 4 * block);
}

std::size_t set_bits(std::span<const std::byte> bytes) {
  std::size_t bits = 0;
  for (const std::byte b : bytes) {
    bits += static_cast<std::size_t>(std::popcount(std::to_integer<unsigned>(b)));
  }
  return bits;
}

/// What a program of `size` bytes of `value` over a medium of `fill` leaves.
Bytes torn_program(Tear tear, std::uint64_t seed, std::byte value = std::byte{0x0f},
                   std::byte fill = std::byte{0xff}, std::size_t size = 16) {
  Medium medium = medium_of(fill);
  TearingDevice device(medium);
  device.cut_at({.operation = 1, .tear = tear, .seed = seed});
  EXPECT_EQ(device.program(8, Bytes(size, value)).error().code, Errc::io);
  EXPECT_TRUE(device.is_cut());
  EXPECT_TRUE(std::all_of(medium.content.begin(), medium.content.begin() + 8,
                          [&](std::byte b) { return b == fill; }));
  EXPECT_TRUE(std::all_of(medium.content.begin() + 8 + static_cast<std::ptrdiff_t>(size),
                          medium.content.end(), [&](std::byte b) { return b == fill; }));
  return {medium.content.begin() + 8,
          medium.content.begin() + 8 + static_cast<std::ptrdiff_t>(size)};
}

Medium torn_erase(Tear tear, std::uint64_t seed, std::byte fill) {
  Medium medium = medium_of(fill);
  TearingDevice device(medium);
  device.cut_at({.operation = 1, .tear = tear, .seed = seed});
  EXPECT_FALSE(device.erase({.offset = block, .size = block}));
  EXPECT_TRUE(device.is_cut());
  EXPECT_TRUE(is_filled(std::span(medium.content).first(block), fill));
  EXPECT_TRUE(is_filled(std::span(medium.content).subspan(2 * block), fill));
  return medium;
}

std::span<const std::byte> second_block(const Medium& medium) {
  return std::span(medium.content).subspan(block, block);
}

TEST(TearingDevice, WithoutACutItIsFlash) {
  Medium medium = medium_of(std::byte{0xff});
  TearingDevice device(medium);
  ASSERT_TRUE(device.program(10, from_hex("f00f").value()));
  EXPECT_EQ(device.program(10, from_hex("ff").value()).error().code, Errc::bit_set);
  ASSERT_TRUE(device.sync());
  EXPECT_EQ(to_hex(read_at(device, 9, 4)), "fff00fff");
  ASSERT_TRUE(device.erase({.offset = 0, .size = block}));
  EXPECT_TRUE(is_filled(read_all(device), std::byte{0xff}));
  EXPECT_FALSE(device.is_cut());
}

TEST(TearingDevice, CountsAnOperationForEachBlock) {
  Medium medium = medium_of(std::byte{0xff});
  TearingDevice device(medium);
  ASSERT_TRUE(device.program(block - 1, Bytes(block + 2, std::byte{0})));
  ASSERT_TRUE(device.erase({.offset = 0, .size = 2 * block}));
  EXPECT_FALSE(device.program(4 * block, Bytes(1))) << "what the contract refuses does not count";
  using enum OperationKind;
  EXPECT_THAT(device.operations(),
              ElementsAre(Operation{program, {block - 1, 1}}, Operation{program, {block, block}},
                          Operation{program, {2 * block, 1}}, Operation{erase, {0, block}},
                          Operation{erase, {block, block}}));
}

TEST(TearingDevice, ACutThatIsNotDueIsSeen) {
  Medium medium = medium_of(std::byte{0xff});
  TearingDevice device(medium);
  device.cut_at({.operation = 3, .tear = Tear::before});
  ASSERT_TRUE(device.program(0, Bytes(1)));
  ASSERT_TRUE(device.program(1, Bytes(1)));
  EXPECT_FALSE(device.is_cut()) << "there were two operations";
  EXPECT_FALSE(device.program(2, Bytes(1)));
  EXPECT_TRUE(device.is_cut());
}

TEST(TearingDevice, AfterTheCutEverythingFailsAndNothingChanges) {
  for (const Tear tear : program_tears) {
    Medium medium = medium_of(std::byte{0xff});
    TearingDevice device(medium);
    device.cut_at({.operation = 1, .tear = tear, .seed = 3});
    EXPECT_EQ(device.program(0, Bytes(4)).error().code, Errc::io);
    const Bytes left = medium.content;
    Bytes buffer(1);
    EXPECT_EQ(device.program(0, Bytes(4)).error().code, Errc::io);
    EXPECT_EQ(device.erase({.offset = 0, .size = block}).error().code, Errc::io);
    EXPECT_EQ(device.sync().error().code, Errc::io);
    EXPECT_EQ(device.read(0, buffer).error().code, Errc::io);
    EXPECT_EQ(medium.content, left);
    EXPECT_EQ(device.operations().size(), 1U);
    TearingDevice next(medium);
    EXPECT_TRUE(next.program(100, Bytes(1))) << "the power is on again";
  }
}

TEST(TearingDevice, ATornProgramClearsBitsThatItWasToClearAndNoOther) {
  constexpr std::byte value{0x5a};
  constexpr std::byte fill{0x7e};
  for (const Tear tear : program_tears) {
    for (std::uint64_t seed = 0; seed < seeds; ++seed) {
      for (const std::byte b : torn_program(tear, seed, value, fill)) {
        EXPECT_EQ(b & ~fill, std::byte{0}) << to_string(tear) << " set a bit";
        EXPECT_EQ(b & value, fill & value) << to_string(tear) << " cleared another bit";
      }
    }
  }
}

TEST(TearingDevice, PrefixesAreOfTheirLengths) {
  const auto written = [](Tear tear) {
    const Bytes left = torn_program(tear, 0);
    const auto end = std::find(left.begin(), left.end(), std::byte{0xff});
    EXPECT_TRUE(std::all_of(left.begin(), end, [](std::byte b) { return b == std::byte{0x0f}; }));
    EXPECT_TRUE(std::all_of(end, left.end(), [](std::byte b) { return b == std::byte{0xff}; }));
    return end - left.begin();
  };
  EXPECT_EQ(written(Tear::before), 0);
  EXPECT_EQ(written(Tear::first_byte), 1);
  EXPECT_EQ(written(Tear::half), 8);
  EXPECT_EQ(written(Tear::all_but_last), 15);
  EXPECT_EQ(written(Tear::after), 16);
}

TEST(TearingDevice, SubsetsOfBitsAreOfTheirSizes) {
  constexpr std::size_t all = 16 * 8;
  constexpr std::size_t none_left = 16 * 4;
  std::size_t fewest = all;
  std::size_t most = 0;
  std::size_t half_bytes = 0;
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    EXPECT_EQ(set_bits(torn_program(Tear::one_bit, seed)), all - 1);
    EXPECT_EQ(set_bits(torn_program(Tear::all_but_a_bit, seed)), none_left + 1);
    const std::size_t left = set_bits(torn_program(Tear::bits, seed));
    fewest = std::min(fewest, left);
    most = std::max(most, left);
    for (const std::byte b : torn_program(Tear::bytes, seed)) {
      EXPECT_TRUE(b == std::byte{0x0f} || b == std::byte{0xff});
      half_bytes += b == std::byte{0x0f} ? 1 : 0;
    }
  }
  EXPECT_LT(fewest, most) << "seeds make a difference";
  EXPECT_GT(fewest, none_left);
  EXPECT_LT(most, all);
  EXPECT_GT(half_bytes, seeds * 4);
  EXPECT_LT(half_bytes, seeds * 12);
}

TEST(TearingDevice, ASeedAlwaysGivesTheSame) {
  EXPECT_EQ(torn_program(Tear::bits, 7), torn_program(Tear::bits, 7));
  EXPECT_NE(torn_program(Tear::bits, 7), torn_program(Tear::bits, 8));
  EXPECT_EQ(torn_erase(Tear::scrambled, 7, std::byte{0}).content,
            torn_erase(Tear::scrambled, 7, std::byte{0}).content);
}

TEST(TearingDevice, ATornEraseLeavesOldAndErasedBytesWithABorder) {
  std::size_t small = 0;
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    const Medium front = torn_erase(Tear::front_erased, seed, std::byte{0x21});
    const Medium back = torn_erase(Tear::back_erased, seed, std::byte{0x21});
    const auto border =
        std::ranges::find(second_block(front), std::byte{0x21}) - second_block(front).begin();
    EXPECT_TRUE(
        is_filled(second_block(front).subspan(static_cast<std::size_t>(border)), std::byte{0x21}));
    EXPECT_TRUE(
        is_filled(second_block(back).first(static_cast<std::size_t>(border)), std::byte{0x21}));
    EXPECT_TRUE(
        is_filled(second_block(back).subspan(static_cast<std::size_t>(border)), std::byte{0xff}));
    small += border < 128 ? 1 : 0;
  }
  EXPECT_GT(small, seeds / 2) << "half of the borders lie among headers";
  EXPECT_LT(small, seeds);
}

TEST(TearingDevice, ATornEraseMixesBits) {
  constexpr std::byte fill{0x3c};
  bool cleared = false;
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    std::size_t changed = 0;
    const Medium mixed = torn_erase(Tear::bits_erased, seed, fill);
    for (const std::byte b : second_block(mixed)) {
      EXPECT_EQ(b & fill, fill) << "an old 1 stays";
      changed += b == fill ? 0 : 1;
    }
    EXPECT_GT(changed, block / 2);
    const Medium scrambled = torn_erase(Tear::scrambled, seed, fill);
    for (const std::byte b : second_block(scrambled)) {
      cleared = cleared || (b & fill) != fill;
    }
    const Medium few = torn_erase(Tear::few_bits_erased, seed, fill);
    const std::size_t more = set_bits(second_block(few)) - block * 4;
    EXPECT_GE(more, 1U);
    EXPECT_LE(more, 3U);
  }
  EXPECT_TRUE(cleared) << "scrambled bits may be cleared too";
}

TEST(TearingDevice, UnstableBitsReadDifferentlyEachTime) {
  for (const Tear tear : {Tear::unstable, Tear::unstable_weakly}) {
    Medium medium = torn_erase(tear, 1, std::byte{0});
    for (int power_on = 0; power_on < 3; ++power_on) {
      TearingDevice device(medium, 5);
      Bytes before = read_all(device);
      for (int reads = 0; reads < 10; ++reads) {
        const Bytes now = read_all(device);
        EXPECT_NE(now, before) << to_string(tear);
        EXPECT_TRUE(is_filled(std::span(now).first(block), std::byte{0})) << "the block alone";
        EXPECT_TRUE(is_filled(std::span(now).subspan(2 * block), std::byte{0}));
        before = now;
      }
    }
  }
}

TEST(TearingDevice, AWeaklyUnstableBlockIsErasedButForAFewBits) {
  const Medium medium = torn_erase(Tear::unstable_weakly, 1, std::byte{0});
  EXPECT_TRUE(is_filled(second_block(medium), std::byte{0xff}));
  const std::size_t bits = set_bits(medium.unstable.at(1).mask);
  EXPECT_GT(bits, 0U);
  EXPECT_LT(bits, block / 8);
}

TEST(TearingDevice, UnstableLaterReadsAsErasedAtFirst) {
  Medium medium = torn_erase(Tear::unstable_later, 1, std::byte{0});
  {
    TearingDevice first(medium);
    for (int reads = 0; reads < 5; ++reads) {
      EXPECT_TRUE(is_filled(read_at(first, block, block), std::byte{0xff}));
    }
  }
  TearingDevice second(medium);
  EXPECT_NE(read_all(second), read_all(second));
}

TEST(TearingDevice, AnUnstableBlockStaysSoUntilItIsErasedInFull) {
  Medium medium = torn_erase(Tear::unstable, 1, std::byte{0});
  {
    TearingDevice device(medium);
    ASSERT_TRUE(device.program(block, Bytes(block, std::byte{0}))) << "any bits may be programmed";
    EXPECT_NE(read_all(device), read_all(device)) << "and are not stable for it";
    for (const Tear tear : {Tear::before, Tear::front_erased, Tear::scrambled}) {
      TearingDevice cut(medium);
      cut.cut_at({.operation = 1, .tear = tear});
      EXPECT_FALSE(cut.erase({.offset = block, .size = block}));
    }
  }
  TearingDevice device(medium);
  EXPECT_NE(read_all(device), read_all(device)) << "nor for an erase that was cut";
  ASSERT_TRUE(device.erase({.offset = block, .size = block}));
  EXPECT_EQ(read_all(device), read_all(device));
  EXPECT_TRUE(is_filled(read_at(device, block, block), std::byte{0xff}));
}

TEST(TearingDevice, RequestsOverSeveralBlocksAreCutInside) {
  Medium medium = medium_of(std::byte{0xff});
  {
    TearingDevice device(medium);
    device.cut_at({.operation = 2, .tear = Tear::before});
    EXPECT_FALSE(device.program(0, Bytes(3 * block)));
  }
  EXPECT_TRUE(is_filled(std::span(medium.content).first(block), std::byte{0}));
  EXPECT_TRUE(is_filled(std::span(medium.content).subspan(block), std::byte{0xff}));
  medium = medium_of(std::byte{0});
  TearingDevice device(medium);
  device.cut_at({.operation = 2, .tear = Tear::after});
  EXPECT_FALSE(device.erase({.offset = 0, .size = 3 * block}));
  EXPECT_TRUE(is_filled(std::span(medium.content).first(2 * block), std::byte{0xff}));
  EXPECT_TRUE(is_filled(std::span(medium.content).subspan(2 * block), std::byte{0}));
}

TEST(TearingDeviceDeathTest, ATearOfAnotherOperationIsAWrongTest) {
  Medium medium = medium_of(std::byte{0xff});
  TearingDevice device(medium);
  device.cut_at({.operation = 1, .tear = Tear::unstable});
  EXPECT_DEATH((void)device.program(0, Bytes(1)), "another kind");
}

}  // namespace
}  // namespace efistore::test
