// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Firmware onto flash, cut at every operation in every way that flash tears, and the cut of what
// goes on afterwards as well.
#include "efistore/update/image_writer.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <numeric>
#include <optional>
#include <random>
#include <set>

#include "efistore/flash/memory_device.hpp"

#include "support/counting_device.hpp"
#include "support/tearing_device.hpp"

namespace efistore::update {
namespace {

using efistore::test::Cut;
using efistore::test::Medium;
using efistore::test::OperationKind;
using efistore::test::Tear;
using efistore::test::TearingDevice;
using Bytes = std::vector<std::byte>;

constexpr std::uint32_t block_size = 512;
constexpr std::uint32_t block_count = 12;

Bytes random_bytes(std::size_t size, unsigned seed) {
  std::mt19937 random(seed);
  Bytes bytes(size);
  for (auto& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

/// Firmware that differs from what is there in the given blocks; some of them are all 0xff, so that
/// a block of which the erase was cut can read as if it were done.
struct Update {
  Bytes before;
  Bytes firmware;
};

Update update_of(const std::vector<std::uint32_t>& blocks, std::size_t firmware_size) {
  Update update{random_bytes(std::size_t{block_size} * block_count, 1), {}};
  update.firmware.assign(update.before.begin(),
                         update.before.begin() + static_cast<std::ptrdiff_t>(firmware_size));
  for (const std::uint32_t block : blocks) {
    const std::size_t begin = std::size_t{block} * block_size;
    const std::size_t end = std::min(begin + block_size, firmware_size);
    const Bytes fresh = random_bytes(end - begin, 100 + block);
    for (std::size_t at = begin; at < end; ++at) {
      update.firmware[at] = block % 3 == 1 ? std::byte{0xff} : fresh[at - begin];
    }
  }
  return update;
}

struct Writing {
  explicit Writing(flash::Device& device, const Bytes& firmware)
      : source(firmware),
        writer(ImageWriter::create(device, {source, {0, firmware.size()}}).value()) {}

  capsule::MemorySource source;
  ImageWriter writer;
};

/// As an updater does it: what is remembered before the write, and what is done with it afterwards.
struct Memory {
  std::optional<WritePlan> plan;
};

Status apply(flash::Device& device, const Bytes& firmware, Memory& memory, std::size_t max_runs) {
  Writing writing(device, firmware);
  BlockSet suspects;
  if (memory.plan) {
    const auto cut = writing.writer.possibly_cut(*memory.plan);
    if (!cut) return tl::unexpected(cut.error());
    suspects = *cut;
  }
  const auto different = writing.writer.compare();
  if (!different) return tl::unexpected(different.error());
  BlockSet blocks = *different;
  blocks.add(suspects);
  const BlockSet joined = blocks.joined(max_runs);
  // Of a second cut within the same update the first plan knows as much.
  if (!memory.plan)
    memory.plan = WritePlan{
        joined, joined == blocks ? WritePlan::Differing::all : WritePlan::Differing::ends};
  return writing.writer.write(blocks);
}

void expect_written(const Update& update, Medium& medium) {
  // Twice, as unstable bits read differently each time.
  for (int round = 0; round < 2; ++round) {
    TearingDevice device(medium, 77 + static_cast<unsigned>(round));
    Bytes content(update.firmware.size());
    ASSERT_TRUE(device.read(0, content));
    ASSERT_EQ(update.firmware, content);
  }
  // Whole blocks behind the firmware are as they were.
  const std::size_t blocks_end =
      (update.firmware.size() + block_size - 1) / block_size * block_size;
  EXPECT_TRUE(std::equal(update.before.begin() + static_cast<std::ptrdiff_t>(blocks_end),
                         update.before.end(),
                         medium.content.begin() + static_cast<std::ptrdiff_t>(blocks_end)));
  for (const auto& [block, _] : medium.unstable) EXPECT_LE(blocks_end, block * block_size);
}

TEST(ImageWriter, WritesTheBlocksThatDifferAndNoOther) {
  for (const std::vector<std::uint32_t>& blocks :
       std::vector<std::vector<std::uint32_t>>{{}, {0}, {3}, {0, 3}, {2, 3, 4, 9}, {11}}) {
    const Update update = update_of(blocks, std::size_t{block_size} * block_count - 100);
    Medium medium{update.before, block_size};
    TearingDevice device(medium);
    Writing writing(device, update.firmware);
    const BlockSet different = writing.writer.compare().value();
    EXPECT_EQ(blocks.size(), different.count());
    ASSERT_TRUE(writing.writer.write(different));
    std::set<std::uint64_t> erased;
    for (const auto& operation : device.operations()) {
      if (operation.kind == OperationKind::erase) {
        EXPECT_TRUE(erased.insert(operation.where.offset / block_size).second) << "erased twice";
      }
    }
    EXPECT_EQ(std::set<std::uint64_t>(blocks.begin(), blocks.end()), erased);
    expect_written(update, medium);
  }
}

/// A torn image never has a first block that is whole.
TEST(ImageWriter, TheFirstBlockIsErasedFirstAndProgrammedLast) {
  const Update update = update_of({0, 2, 5, 6}, std::size_t{block_size} * block_count);
  Medium medium{update.before, block_size};
  TearingDevice device(medium);
  Writing writing(device, update.firmware);
  ASSERT_TRUE(writing.writer.write(writing.writer.compare().value()));
  const auto& operations = device.operations();
  ASSERT_EQ(8U, operations.size());
  EXPECT_EQ((efistore::test::Operation{OperationKind::erase, {0, block_size}}), operations.front());
  EXPECT_EQ(OperationKind::program, operations.back().kind);
  EXPECT_EQ(0U, operations.back().where.offset / block_size);
  for (std::size_t i = 1; i + 1 < operations.size(); ++i) {
    if (operations[i].where.offset >= block_size) continue;
    EXPECT_LE(operations.size() - 1, i) << "the first block is touched in between";
  }
}

struct CutCase {
  std::vector<std::uint32_t> blocks;
  std::size_t max_runs;
};

class CutUpdate : public ::testing::TestWithParam<CutCase> {};

TEST_P(CutUpdate, GoesOnToTheNewImage) {
  const Update update = update_of(GetParam().blocks, std::size_t{block_size} * block_count - 100);
  const std::size_t max_runs = GetParam().max_runs;
  const auto operations_of = [&](Medium medium, Memory memory) {
    TearingDevice device(medium);
    EXPECT_TRUE(apply(device, update.firmware, memory, max_runs));
    return device.operations();
  };
  const auto tears_of = [](OperationKind kind) {
    return kind == OperationKind::erase ? std::vector<Tear>(efistore::test::erase_tears.begin(),
                                                            efistore::test::erase_tears.end())
                                        : std::vector<Tear>(efistore::test::program_tears.begin(),
                                                            efistore::test::program_tears.end());
  };
  const auto clean = operations_of({update.before, block_size}, {});
  std::uint64_t cuts = 0;
  for (std::uint64_t first = 1; first <= clean.size(); ++first) {
    for (const Tear tear : tears_of(clean[first - 1].kind)) {
      for (std::uint64_t seed = 0; seed < (efistore::test::is_random(tear) ? 4U : 1U); ++seed) {
        SCOPED_TRACE(::testing::Message()
                     << "cut " << first << " " << to_string(tear) << " seed " << seed);
        Medium medium{update.before, block_size};
        Memory memory;
        {
          TearingDevice device(medium, seed);
          device.cut_at({first, tear, seed});
          ASSERT_FALSE(apply(device, update.firmware, memory, max_runs) && tear != Tear::after);
          ASSERT_TRUE(device.is_cut());
          ++cuts;
        }
        // The resumption is cut too, at one of its operations, in one way.
        const auto second = operations_of(medium, memory);
        for (std::uint64_t at = 1 + (first + seed) % 3; at <= second.size(); at += 3) {
          Medium torn = medium;
          Memory again = memory;
          const auto tears = tears_of(second[at - 1].kind);
          {
            TearingDevice device(torn, seed + 1);
            device.cut_at({at, tears[(at + first) % tears.size()], seed});
            (void)apply(device, update.firmware, again, max_runs);
            ASSERT_TRUE(device.is_cut());
            ++cuts;
          }
          TearingDevice device(torn, seed + 2);
          ASSERT_TRUE(apply(device, update.firmware, again, max_runs));
          expect_written(update, torn);
        }
        TearingDevice device(medium, seed + 2);
        ASSERT_TRUE(apply(device, update.firmware, memory, max_runs));
        expect_written(update, medium);
      }
    }
  }
  EXPECT_LT(clean.size() * 9, cuts);
}

INSTANTIATE_TEST_SUITE_P(Plans, CutUpdate,
                         ::testing::Values(CutCase{{3}, 8}, CutCase{{0}, 8}, CutCase{{0, 1, 2}, 8},
                                           CutCase{{1, 4, 7, 9}, 8}, CutCase{{1, 3, 4, 7, 10}, 2},
                                           CutCase{{0, 2, 4, 6, 8, 10}, 1},
                                           CutCase{{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, 8}));

/// The work that a cut costs is bounded by what is known of the plan.
TEST(ImageWriter, AnExactPlanCostsOneBlockMore) {
  std::vector<std::uint32_t> all(block_count);
  std::iota(all.begin(), all.end(), 0);
  const Update update = update_of(all, std::size_t{block_size} * block_count);
  Medium medium{update.before, block_size};
  {
    TearingDevice device(medium);
    Writing writing(device, update.firmware);
    BlockSet half;
    for (std::uint32_t block = 1; block < 6; ++block) half.add(block);
    ASSERT_TRUE(writing.writer.write(half));
  }
  TearingDevice device(medium);
  Writing writing(device, update.firmware);
  const BlockSet everything = BlockSet::from_runs(std::vector<BlockSet::Run>{{0, 12}}).value();
  const auto runs = [](const BlockSet& set) {
    return std::vector<BlockSet::Run>(set.runs().begin(), set.runs().end());
  };
  using Runs = std::vector<BlockSet::Run>;
  EXPECT_EQ((Runs{{0, 1}, {5, 2}}),
            runs(writing.writer.possibly_cut({everything, WritePlan::Differing::all}).value()));
  EXPECT_EQ((Runs{{0, 7}}),
            runs(writing.writer.possibly_cut({everything, WritePlan::Differing::ends}).value()));
  EXPECT_EQ((Runs{{0, 12}}),
            runs(writing.writer.possibly_cut({everything, WritePlan::Differing::unknown}).value()));
}

TEST(ImageWriter, WhatDoesNotFitIsRefused) {
  flash::MemoryDevice device(Bytes(1024), 512);
  const Bytes firmware(1025);
  const capsule::MemorySource source(firmware);
  EXPECT_EQ(Errc::no_space, ImageWriter::create(device, {source, {0, 1025}}).error().code);
  EXPECT_TRUE(ImageWriter::create(device, {source, {0, 1024}}));
  flash::MemoryDevice coarse(Bytes(8 << 20), 8 << 20);
  EXPECT_EQ(Errc::unsupported, ImageWriter::create(coarse, {source, {0, 1}}).error().code);
}

/// A bit that does not become what was programmed is found at once.
TEST(ImageWriter, ReadsBackWhatItWrote) {
  class StuckBit final : public flash::Device {
   public:
    explicit StuckBit(flash::Device& below) : below_(below) {}
    const flash::Geometry& geometry() const noexcept override { return below_.geometry(); }
    const std::string& name() const noexcept override { return below_.name(); }
    bool read_only() const noexcept override { return false; }
    Status read(std::uint64_t offset, std::span<std::byte> out) override {
      const Status status = below_.read(offset, out);
      if (offset <= 700 && 700 < offset + out.size()) out[700 - offset] |= std::byte{0x10};
      return status;
    }
    Status program(std::uint64_t offset, std::span<const std::byte> data) override {
      return below_.program(offset, data);
    }
    Status erase(flash::Range blocks) override { return below_.erase(blocks); }
    Status sync() override { return below_.sync(); }

   private:
    flash::Device& below_;
  };
  flash::MemoryDevice below(Bytes(2048), 512);
  StuckBit device(below);
  const Bytes firmware(1500, std::byte{0x21});
  Writing writing(device, firmware);
  const Status written = writing.writer.write(writing.writer.compare().value());
  ASSERT_FALSE(written);
  EXPECT_EQ(Errc::io, written.error().code);
  EXPECT_EQ("memory: byte 700 reads back as 0x31 after it was programmed", written.error().message);
}

}  // namespace
}  // namespace efistore::update
