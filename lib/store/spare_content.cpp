// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "spare_content.hpp"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "efistore/base/bytes.hpp"
#include "efistore/store/record_area.hpp"
#include "efistore/store/scan.hpp"

#include "firmware_volume.hpp"
#include "reconstruct.hpp"
#include "record_format.hpp"
#include "salvage.hpp"

namespace efistore::store {

namespace {

constexpr std::byte erased{0xff};

using Key = std::pair<std::u16string, Guid>;
using Records = std::map<Key, std::span<const std::byte>>;

/// The records of `area` if all of it is as a compaction makes it: whole headers, live records, and
/// erased bytes behind them.
std::optional<Records> compacted_records(std::span<const std::byte> area, const Layout& layout) {
  const auto volume = parse_volume_header(area);
  if (!volume || !volume->checksum_valid || !header_findings(area, layout).empty())
    return std::nullopt;
  const RecordScan scan =
      scan_records(area, first_record_offset(volume->header_size_bytes), layout.format);
  if (!is_filled(area.subspan(scan.chain_end), erased)) return std::nullopt;
  Records records;
  for (const ScannedRecord& record : scan.records) {
    auto name = record_name(area, record, layout.format);
    if (!name || !record.live() || record.salvaged) return std::nullopt;
    const auto bytes = area.subspan(record.offset, record.size);
    if (!records.emplace(Key{std::move(*name), record.guid}, bytes).second) return std::nullopt;
  }
  return records;
}

/// How many bytes in front are equal, in whole blocks.
std::size_t equal_front(std::span<const std::byte> a, std::span<const std::byte> b,
                        std::size_t block) {
  std::size_t at = 0;
  while (at < a.size() && equal_bytes(a.subspan(at, block), b.subspan(at, block))) at += block;
  return at;
}

bool same_but_state(std::span<const std::byte> a, std::span<const std::byte> b) {
  return a.size() == b.size() &&
         equal_bytes(a.subspan(record_state_offset + 1), b.subspan(record_state_offset + 1));
}

}  // namespace

Result<std::optional<std::vector<std::byte>>> read_spare_content(flash::Device& device,
                                                                 const Layout& layout) {
  if (layout.ftw_spare.size < layout.variables.size) return std::nullopt;
  std::vector<std::byte> spare(layout.variables.size);
  if (auto done = device.read(layout.ftw_spare.offset, spare); !done)
    return forward(std::move(done));
  const auto volume = parse_volume_header(spare);
  if (!volume || volume->volume_size_bytes != layout.volume_size_bytes) return std::nullopt;
  const auto store = parse_store_header(std::span(spare).subspan(volume->header_size_bytes), 0);
  if (!store || store->format != layout.format) return std::nullopt;
  return Result<std::optional<std::vector<std::byte>>>(std::move(spare));
}

bool is_cut_copy(std::span<const std::byte> area, std::span<const std::byte> spare,
                 const Layout& layout) {
  const auto wanted = compacted_records(spare, layout);
  if (!wanted) return false;
  const std::size_t equal = equal_front(area, spare, layout.block_size_bytes);
  if (equal == area.size()) return false;
  // The signature goes first and comes last.
  if (equal == 0 && parse_volume_header(area)) return false;
  const auto begin = first_record_offset(parse_volume_header(spare)->header_size_bytes);
  for (const auto& [record, mended] :
       salvage_records(area, begin, layout.format, Swallowed::left).records) {
    if (record.offset < equal) continue;
    const auto found = wanted->find({*record_name(area, record, layout.format), record.guid});
    const auto bytes = area.subspan(record.offset, record.size);
    const bool same = found != wanted->end() && same_but_state(found->second, bytes);
    if (record.live() && !same) return false;
    const bool deleted = !record.live() && same && found->second.data() == &spare[record.offset];
    if (deleted) return false;
  }
  return true;
}

}  // namespace efistore::store
