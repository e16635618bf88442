// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/update/journal.hpp"

#include <fmt/format.h>
#include <fmt/xchar.h>

#include <algorithm>

#include "efistore/base/bytes.hpp"
#include "efistore/capsule/report.hpp"

namespace efistore::update {

namespace {

constexpr std::uint8_t journal_version = 1;
/// Version, state, what is known of the blocks, a reserved byte; the digest; block size and number
/// of runs.
constexpr std::size_t header_size = 4 + 32 + 4 + 4;
constexpr std::size_t run_size = 8;

tl::unexpected<Error> malformed(std::string_view what) {
  return fail(Errc::invalid_argument, fmt::format("update journal: {}", what));
}

}  // namespace

std::u16string journal_name(std::size_t bank, std::uint64_t hardware_instance, std::uint8_t index) {
  return capsule::state_variable_name(fmt::format(u"FmpUpdate{}", bank), hardware_instance, index);
}

std::vector<std::byte> encode_journal(const Journal& journal) {
  const auto runs = journal.plan.blocks.runs();
  std::vector<std::byte> data(header_size + runs.size() * run_size);
  ByteWriter writer(data);
  writer.u8(journal_version);
  writer.u8(static_cast<std::uint8_t>(journal.state));
  writer.u8(static_cast<std::uint8_t>(journal.plan.differing));
  writer.u8(0);
  writer.bytes(journal.capsule);
  writer.u32(journal.block_size_bytes);
  writer.u32(static_cast<std::uint32_t>(runs.size()));
  for (const BlockSet::Run& run : runs) {
    writer.u32(run.first);
    writer.u32(run.count);
  }
  return data;
}

Result<Journal> parse_journal(std::span<const std::byte> data) {
  ByteReader reader(data);
  const std::uint8_t version = reader.u8();
  Journal journal;
  journal.state = Journal::State{reader.u8()};
  journal.plan.differing = WritePlan::Differing{reader.u8()};
  reader.skip(1);
  const auto digest = reader.take(journal.capsule.size());
  journal.block_size_bytes = reader.u32();
  const std::uint32_t count = reader.u32();
  if (!reader.ok()) return malformed(fmt::format("it ends after {} bytes", data.size()));
  if (version != journal_version) {
    return malformed(fmt::format("its version is {}, expected {}", version, journal_version));
  }
  if (journal.state != Journal::State::writing && journal.state != Journal::State::abandoned) {
    return malformed("its state is none that is known");
  }
  if (journal.plan.differing > WritePlan::Differing::unknown) {
    return malformed("what it knows of its blocks is nothing that is known");
  }
  if (count > max_journal_runs || reader.remaining() != count * run_size) {
    return malformed(fmt::format("{} runs in {} bytes, expected at most {}", count,
                                 reader.remaining(), max_journal_runs));
  }
  std::ranges::copy(digest, journal.capsule.begin());
  std::vector<BlockSet::Run> runs(count);
  for (BlockSet::Run& run : runs) {
    run.first = reader.u32();
    run.count = reader.u32();
  }
  auto blocks = BlockSet::from_runs(runs);
  if (!blocks) return malformed(blocks.error().message);
  journal.plan.blocks = *std::move(blocks);
  return journal;
}

}  // namespace efistore::update
