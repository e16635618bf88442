// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// EDK2's variable store on a flash device. It knows records and their states, and no UEFI rules.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "efistore/store/examine.hpp"
#include "efistore/store/layout.hpp"
#include "efistore/store/record.hpp"
#include "efistore/store/record_area.hpp"

namespace efistore::store {

/// What opening did with a fault-tolerant write that was under way.
enum class FtwRecovery {
  none,      ///< nothing was under way
  dropped,   ///< its data was not complete; the variables are the old ones
  finished,  ///< its data was complete; the variables are the new ones
  reset,     ///< the working area was not valid, and is a new one
};

/// What opening found, and did.
struct OpenReport {
  std::vector<Finding> findings;  ///< of the store as it is now open
  FtwRecovery recovery = FtwRecovery::none;
  /// Why a store that was opened for writing is not written: what failed in its recovery or, later,
  /// in a change. Empty if nothing did.
  std::string not_written_because;
  /// Bytes of an interrupted write lay behind the records, and a reclaim removed them.
  bool reclaimed = false;
  /// Something is lost, or would be by a write: the store is read-only until it is repaired.
  bool damaged = false;
};

struct OpenOptions {
  bool read_only = false;
};

/// The store, opened. Everything live is in memory; reads cost no flash access.
///
/// Invariants: the mirror equals the flash after every operation that succeeded; the index holds
/// exactly the records that EDK2's FindVariable can return, in flash order. After a device error
/// both are read again from flash, and every further change is refused as read_only.
class VariableStore {
 public:
  /// Writes a blank store of `layout` over the start of `device`, byte for byte as OVMF's build
  /// makes it. Whatever was there is gone.
  /// Errors: invalid_argument (device too small, blocks of another size), io.
  /// Power loss: no store, or the new one; the old one as it was if nothing was written yet.
  static Status format(flash::Device& device, const Layout& layout);

  /// Opened for writing, an interrupted fault-tolerant write is finished or dropped first, and what
  /// an interrupted record left is reclaimed away; where that fails, the store is read-only and
  /// report() says why.
  /// Errors: blank, damaged (headers), io (reading).
  static Result<VariableStore> open(std::unique_ptr<flash::Device> device,
                                    const OpenOptions& options = {});

  VariableStore(VariableStore&&) noexcept = default;
  VariableStore& operator=(VariableStore&&) noexcept = default;

  const Layout& layout() const noexcept { return layout_; }
  RecordFormat format() const noexcept { return layout_.format; }
  const OpenReport& report() const noexcept { return report_; }
  bool read_only() const noexcept { return read_only_; }
  const flash::Device& device() const noexcept { return *device_; }
  const Usage& usage() const noexcept { return area_.usage(); }
  /// Bytes of records, paddings included, that put() and reclaim_with() have written since opening;
  /// what a reclaim only copies does not count. A rewrite by adopt() counts as one of the whole
  /// area.
  std::uint64_t written_record_bytes() const noexcept { return written_record_bytes_; }

  /// The live record of that name, or nullptr.
  const Record* find(std::u16string_view name, const Guid& guid) const noexcept {
    return area_.find(name, guid);
  }
  /// Live records in flash order; nullptr at the end.
  const Record* first() const noexcept { return area_.first(); }
  const Record* next(const Record& record) const noexcept { return area_.next(record); }
  /// Calls `visit` for every record that has a name, dead ones included.
  void for_each_record(const std::function<void(const RecordSummary&)>& visit) const {
    area_.for_each_record(visit);
  }

  /// Creates the variable, or replaces the live record of its name, in EDK2's sequence of state
  /// changes: old 0x3e; the new record, uncommitted; new 0x3f; twins and old deleted.
  /// Errors: no_space (nothing changed; reclaim_with() may help), read_only, damaged, io.
  /// Power loss: the variable is old or new, all others are untouched.
  Status put(const RecordContent& content);

  /// Deletes a live record, its twins first.
  /// Errors: read_only, damaged, io. Power loss: there or gone.
  Status remove(const Record& record);

  /// Clears the bits of a live record's data byte that are 0 in `mask`, in place.
  /// Errors: read_only, damaged, io. Power loss: each of the bits is as before or cleared.
  Status clear_data_bits(const Record& record, std::size_t index, std::byte mask);

  /// Compacts: live records in flash order, all `added`; those that were in transition behind them.
  /// Errors: read_only, damaged, unsupported (the layout has no spare area), io.
  /// Power loss: as before or compacted.
  Status reclaim();

  /// Compacts and puts `content` in one step.
  /// Errors: no_space (nothing changed), read_only, damaged, unsupported, io.
  /// Power loss: the variable is old or new, all others are untouched.
  Status reclaim_with(const RecordContent& content);

  /// Replaces all variables by `variables` in one rewrite, in their order.
  /// Errors: no_space, invalid_argument (two of one name; a name that is empty or holds a NUL;
  /// fields the format lacks), with nothing changed; read_only, damaged, unsupported, io.
  /// Power loss: all old or all new.
  Status replace_all(std::span<const Variable> variables);

  /// A store in memory with the same variables and the same space, to try changes on that are to be
  /// made together or not at all. What is changed there reaches no flash before adopt(), which is
  /// where a store that is not written refuses it.
  VariableStore staged() const;

  /// Makes the variables those of `changed`, which staged() made of this store as it is now. One
  /// change is written as put(), remove() or reclaim_with() write it, as it was made there, several
  /// by one rewrite.
  /// Errors: read_only, damaged, io; with several changes also unsupported (the layout has no spare
  /// area), nothing being changed.
  /// Power loss: all old or all new.
  Status adopt(const VariableStore& changed);

 private:
  VariableStore(std::unique_ptr<flash::Device> device, const Layout& layout, RecordArea area);

  Status check_writable() const;
  Status changed(Status done);
  Status counted(Status done, const RecordContent& content);
  Status rewrite(Result<std::vector<std::byte>> area);

  std::unique_ptr<flash::Device> device_;  ///< none: staged
  Layout layout_;
  RecordArea area_;
  OpenReport report_;
  std::uint64_t written_record_bytes_ = 0;
  bool read_only_ = false;
  bool rewritten_ = false;  ///< staged, and compacted since
};

}  // namespace efistore::store
