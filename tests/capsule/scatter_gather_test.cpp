// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// The list shapes of EDK2-COALESCE-ORACLE.txt by their numbers there, and what EDK2 does not bound.
#include "efistore/capsule/scatter_gather.hpp"

#include <gmock/gmock.h>

#include <numeric>

#include "efistore/capsule/capsule_header.hpp"

#include "capsule/capsule_support.hpp"

namespace efistore::capsule::test {
namespace {

using ::testing::HasSubstr;

constexpr std::uint64_t memory_address = 0x10000;
constexpr std::uint64_t list_address = 0x10000;
constexpr std::uint64_t data_address = 0x20000;

/// A capsule of `size` bytes, each of which tells its place.
Bytes make_capsule(std::uint32_t size, std::uint32_t flags = flags::persist_across_reset,
                   std::uint32_t header_size = 28) {
  Bytes bytes(size);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * 7 + 1);
  const Guid guid = guids::display_capsule;
  std::ranges::copy(guid.bytes, bytes.begin());
  put_u32(bytes, 16, header_size);
  put_u32(bytes, 20, flags);
  put_u32(bytes, 24, size);
  return bytes;
}

struct Descriptor {
  std::uint64_t length;
  std::uint64_t address;
};

/// One region: descriptors from list_address on, data from data_address on.
class Memory {
 public:
  Memory() : bytes_(0x20000) {}

  /// Puts bytes behind those that were put before. Their address.
  std::uint64_t put(std::span<const std::byte> data) {
    const std::uint64_t address = next_;
    std::ranges::copy(data, bytes_.begin() + static_cast<std::ptrdiff_t>(address - memory_address));
    next_ += data.size();
    return address;
  }
  /// The data in one block each of the given sizes, the rest in the last.
  std::vector<Descriptor> blocks(const Bytes& data, const std::vector<std::size_t>& sizes = {}) {
    std::vector<Descriptor> list;
    std::span<const std::byte> rest = data;
    for (const std::size_t size : sizes) {
      list.push_back({size, put(rest.first(size))});
      rest = rest.subspan(size);
    }
    if (!rest.empty()) list.push_back({rest.size(), put(rest)});
    return list;
  }
  void list(const std::vector<Descriptor>& descriptors, std::uint64_t address = list_address) {
    const std::span<std::byte> bytes = bytes_;
    ByteWriter writer(bytes.subspan(address - memory_address));
    for (const Descriptor& descriptor : descriptors) {
      writer.u64(descriptor.length);
      writer.u64(descriptor.address);
    }
  }
  Result<std::vector<Bytes>> coalesce(std::uint64_t head = list_address,
                                      const CoalesceLimits& limits = {}) const {
    const MemoryRegion region{memory_address, bytes_};
    return capsule::coalesce({&region, 1}, head, limits);
  }

 private:
  Bytes bytes_;
  std::uint64_t next_ = data_address;
};

std::vector<Descriptor> operator+(std::vector<Descriptor> a, const std::vector<Descriptor>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

const std::vector<Descriptor> end = {{0, 0}};

/// What becomes of a list.
std::string outcome(const Memory& memory, const std::vector<Bytes>& wanted = {}) {
  const auto capsules = memory.coalesce();
  if (!capsules) return capsules.error().message;
  return *capsules == wanted ? "the capsules" : "other bytes";
}

std::string outcome_of(const std::vector<Descriptor>& list, const std::vector<Bytes>& wanted,
                       Memory& memory) {
  memory.list(list);
  return outcome(memory, wanted);
}

TEST(ScatterGather, ListsThatEdk2Takes) {
  const Bytes a = make_capsule(1000);
  const Bytes b = make_capsule(500);
  const std::string taken = "the capsules";
  {
    Memory memory;
    EXPECT_EQ(taken, outcome_of(memory.blocks(a) + end, {a}, memory)) << "case 1";
  }
  {
    Memory memory;
    EXPECT_EQ(taken, outcome_of(memory.blocks(a, {28, 500}) + end, {a}, memory)) << "case 2";
  }
  {
    Memory memory;
    EXPECT_EQ(taken, outcome_of(memory.blocks(a) + memory.blocks(b) + end, {a, b}, memory))
        << "case 4";
  }
  {
    Memory memory;
    memory.list(memory.blocks(b) + end, list_address + 0x1000);
    const std::vector<Descriptor> hop = {{0, list_address + 0x1000}};
    EXPECT_EQ(taken, outcome_of(memory.blocks(a) + hop, {a, b}, memory)) << "case 6";
  }
  {
    Memory memory;
    const auto blocks = memory.blocks(a, {400});
    memory.list({blocks[1], {0, 0}}, list_address + 0x1000);
    EXPECT_EQ(taken, outcome_of({blocks[0], {0, list_address + 0x1000}}, {a}, memory)) << "case 7";
  }
  {
    const Bytes all = make_capsule(
        1000, flags::persist_across_reset | flags::initiate_reset | flags::populate_system_table);
    Memory memory;
    EXPECT_EQ(taken, outcome_of(memory.blocks(all) + end, {all}, memory)) << "case 13";
  }
  {
    Memory memory;
    memory.list({{0, list_address + 0x2000}}, list_address + 0x1000);
    memory.list(memory.blocks(a) + end, list_address + 0x2000);
    EXPECT_EQ(taken, outcome_of({{0, list_address + 0x1000}}, {a}, memory)) << "case 19";
  }
  {
    Memory memory;
    std::vector<std::size_t> sizes(973, 1);
    sizes[0] = 28;
    EXPECT_EQ(taken, outcome_of(memory.blocks(a, sizes) + end, {a}, memory)) << "case 30";
  }
}

TEST(ScatterGather, ListsThatEdk2Refuses) {
  const Bytes a = make_capsule(1000);
  const Bytes b = make_capsule(500);
  const auto of_header = [](std::uint32_t flags, std::uint32_t header_size, std::uint32_t size) {
    Memory memory;
    Bytes capsule = make_capsule(1000, flags, header_size);
    put_u32(capsule, 24, size);
    return outcome_of(memory.blocks(capsule) + end, {}, memory);
  };
  constexpr auto persist = flags::persist_across_reset;
  {
    Memory memory;
    EXPECT_THAT(outcome_of(memory.blocks(a, {27}) + end, {}, memory),
                HasSubstr("begins with a block of 27 bytes"))
        << "case 3";
  }
  {
    Memory memory;
    Bytes both = a;
    both.insert(both.end(), b.begin(), b.end());
    EXPECT_THAT(outcome_of(memory.blocks(both) + end, {}, memory),
                HasSubstr("a block of 1500 bytes, and 1000 are left"))
        << "case 5";
  }
  {
    Memory memory;
    auto blocks = memory.blocks(a, {600});
    EXPECT_THAT(outcome_of({blocks[0], {0, 0}}, {}, memory), HasSubstr("ends 400 bytes before"))
        << "case 8";
    blocks[1].length = 401;
    EXPECT_THAT(outcome_of(blocks + end, {}, memory), HasSubstr("401 bytes, and 400 are left"))
        << "case 9";
  }
  EXPECT_THAT(of_header(0, 28, 1000), HasSubstr("lack PERSIST")) << "case 10";
  EXPECT_THAT(of_header(flags::populate_system_table, 28, 1000), HasSubstr("PERSIST")) << "case 11";
  EXPECT_THAT(of_header(flags::initiate_reset, 28, 1000), HasSubstr("PERSIST")) << "case 12";
  EXPECT_THAT(of_header(persist, 1001, 1000), HasSubstr("HeaderSize is 1001")) << "case 14";
  EXPECT_THAT(of_header(persist, 28, 0), HasSubstr("CapsuleImageSize 0")) << "case 32";
  EXPECT_THAT(outcome(Memory()), HasSubstr("has no capsule")) << "case 16";
  EXPECT_EQ(Errc::not_found, Memory().coalesce().error().code) << "case 16";
  {
    Memory memory;
    memory.list(memory.blocks(a) + end, list_address + 4);
    EXPECT_THAT(memory.coalesce(list_address + 4).error().message, HasSubstr("aligned to 8"))
        << "case 20";
  }
  {
    Memory memory;
    const auto at = memory.put(a);
    EXPECT_THAT(outcome_of({{~std::uint64_t{0}, at}}, {}, memory),
                HasSubstr("beyond the address space"))
        << "case 21";
    EXPECT_THAT(outcome_of({{1000, ~std::uint64_t{0} - 500}}, {}, memory),
                HasSubstr("beyond the address space"))
        << "case 22";
    EXPECT_THAT(outcome_of({{0, 0x400000}}, {}, memory), HasSubstr("outside of the memory"))
        << "case 23";
    EXPECT_THAT(outcome_of({{1000, 0x400000}}, {}, memory), HasSubstr("outside of the memory"));
  }
  {
    Memory memory;
    const auto first = memory.blocks(a);
    EXPECT_THAT(outcome_of(first + memory.blocks(b, {27}) + end, {}, memory),
                HasSubstr("begins with a block of 27"))
        << "case 26";
    EXPECT_THAT(outcome_of(first + memory.blocks(b, {1}) + end, {}, memory),
                HasSubstr("begins with a block of 1 "))
        << "case 29";
  }
}

/// Listed in lib/SPEC.md with their reasons.
TEST(ScatterGather, ListsThatEdk2TakesOrFollowsForEver) {
  const Bytes a = make_capsule(1000);
  {
    Memory memory;
    EXPECT_THAT(outcome_of(memory.blocks(make_capsule(1000, flags::persist_across_reset, 0)) + end,
                           {}, memory),
                HasSubstr("HeaderSize is 0"))
        << "case 15";
  }
  {
    Memory memory;
    EXPECT_THAT(outcome_of({{0, list_address}}, {}, memory), HasSubstr("part of the list"))
        << "case 17";
    const auto blocks = memory.blocks(a);
    EXPECT_THAT(outcome_of(blocks + std::vector<Descriptor>{{0, list_address}}, {}, memory),
                HasSubstr("part of the list"))
        << "case 18";
    EXPECT_THAT(outcome_of(blocks + blocks + end, {}, memory), HasSubstr("overlaps another"))
        << "case 27";
  }
  {
    Memory memory;
    auto blocks = memory.blocks(a, {500});
    blocks[1].address -= 1;
    EXPECT_THAT(outcome_of(blocks + end, {}, memory), HasSubstr("overlaps another")) << "case 28";
    // The list itself as a block, before and behind where it was read.
    EXPECT_THAT(outcome_of({blocks[0], {500, list_address + 8}}, {}, memory),
                HasSubstr("overlaps another or the list"));
    EXPECT_THAT(outcome_of({blocks[0], {500, list_address + 32}, {0, 0}}, {}, memory),
                HasSubstr("it was part of the list, or of a block"));
  }
}

TEST(ScatterGather, LimitsHold) {
  const Bytes a = make_capsule(1000);
  Memory memory;
  memory.list(memory.blocks(a, {28, 100, 100}) + end);
  EXPECT_TRUE(memory.coalesce(list_address, {.max_descriptors = 4, .max_size_bytes = 1000}));
  EXPECT_THAT(memory.coalesce(list_address, {.max_descriptors = 3}).error().message,
              HasSubstr("more than 3 blocks"));
  EXPECT_THAT(memory.coalesce(list_address, {.max_size_bytes = 999}).error().message,
              HasSubstr("more than 999 bytes"));
  EXPECT_THAT(memory.coalesce(list_address, {.max_capsules = 0}).error().message,
              HasSubstr("more than 0 capsules"));
  memory.list({{0, list_address + 0x1000}});
  memory.list({{0, list_address + 0x2000}}, list_address + 0x1000);
  EXPECT_THAT(memory.coalesce(list_address, {.max_continuations = 1}).error().message,
              HasSubstr("more than 1 continuations"));
}

/// Whatever 64 random descriptors say, the answer comes and holds no byte from elsewhere.
TEST(ScatterGather, RandomListsEnd) {
  std::uint64_t state = 1;
  const auto random = [&state](std::uint64_t below) {
    state = state * 6364136223846793005U + 1442695040888963407U;
    return (state >> 33) % below;
  };
  for (int round = 0; round < 2000; ++round) {
    Memory memory;
    memory.put(make_capsule(200));
    memory.put(make_capsule(64));
    std::vector<Descriptor> list;
    for (int i = 0; i < 64; ++i) {
      const std::uint64_t address =
          random(3) == 0 ? list_address + 8 * random(130) : data_address + random(300);
      list.push_back({random(4) == 0 ? 0 : 1 + random(200), random(16) == 0 ? 0 : address});
    }
    if (random(2) == 0) list[0] = {200, data_address};
    memory.list(list);
    const auto capsules = memory.coalesce();
    if (!capsules) continue;
    for (const Bytes& capsule : *capsules) EXPECT_LE(28U, capsule.size());
  }
}

}  // namespace
}  // namespace efistore::capsule::test
