// SPDX-License-Identifier: BSD-2-Clause-Patent
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "efistore/store/layout.hpp"
#include "efistore/store/record.hpp"

namespace efistore::store {

enum class Severity {
  note,     ///< what a writer or a power cut leaves behind
  warning,  ///< against the format, and harmless
  damage,   ///< something is lost, or will be
};

std::string_view to_string(Severity severity) noexcept;

/// One observation about the bytes at `where` (offsets from the start of the volume).
struct Finding {
  Severity severity;
  flash::Range where;
  std::string what;
};

enum class RegionKind {
  volume_header,
  store_header,
  live_record,
  dead_record,
  uncommitted_record,
  salvaged_record,  ///< live, but behind a break of the chain
  superseded,       ///< variables that are being replaced; the valid ones are in the spare
  residue,          ///< bytes of no record, not erased
  free_space,
  event_log,
  ftw_header,
  ftw_queue,
  ftw_spare,
  unknown,
};

std::string_view to_string(RegionKind kind) noexcept;

/// A run of bytes and what it is. A volume's regions cover it without gap or overlap.
struct Region {
  RegionKind kind;
  flash::Range where;
  std::string label;  ///< "Boot0000-8be4df61-…" of a record, empty where the kind says it all
};

/// Where a fault-tolerant write stands, by its queue in the working area.
enum class FtwState {
  absent,   ///< the layout has no working area
  invalid,  ///< the working header is not valid: there is no queue
  idle,     ///< nothing under way
  staged,   ///< a write was begun whose data is not complete in the spare: it will be dropped
  copying,  ///< the spare is complete and the variables are not: they will be copied again
  copied,   ///< all is written, and the write is not marked complete yet
  foreign,  ///< the spare holds a write of something else than the variables
  broken,   ///< the queue leads out of the working area, or to data that is not there
};

std::string_view to_string(FtwState state) noexcept;  // the enumerator's name

struct Examination {
  Layout layout;
  FtwState ftw = FtwState::absent;
  std::vector<Region> regions;
  std::vector<Finding> findings;

  bool damaged() const noexcept;
};

/// Looks at every byte of the volume at the start of `device` and changes nothing. Where headers
/// are damaged, the volume is examined with the layout that all else tells, and they are findings.
/// Errors: those of detect_layout() where nothing tells a layout.
Result<Examination> examine(flash::Device& device);

}  // namespace efistore::store
