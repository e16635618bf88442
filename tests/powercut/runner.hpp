// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Cuts the power in every operation of a scenario, in every way, and looks at what is left: once,
// and once more in the recovery and in the write that follows it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "powercut/scenario.hpp"
#include "support/tearing_device.hpp"

namespace efistore::test {

struct Effort {
  std::uint64_t stride = 1;  ///< one of so many cuts of the change is made
  std::uint64_t seeds = 1;   ///< of each tear that is random, in the change
  /// In an operation that has headers in it: with enough of them nearly each bit is torn alone.
  std::uint64_t header_seeds = 1;
  std::uint64_t deep_seeds = 1;   ///< and in the recovery
  std::uint64_t deep_stride = 1;  ///< one of so many cuts of the recovery is made; 0: none
};

struct Counts {
  std::uint64_t operations = 0;  ///< of the change, uncut
  std::uint64_t cases = 0;       ///< cuts of the change that there are
  std::uint64_t cuts = 0;        ///< each was due, and happened
  std::uint64_t reopenings = 0;
};

class Runner {
 public:
  Runner(const Scenario& scenario, const Effort& effort) : scenario_(scenario), effort_(effort) {}

  /// Everything, or as far as `max_failures` go. What is wrong is in failures().
  void run();
  /// One case, as a failure prints it: "OPERATION:TEAR:SEED", twice for a cut recovery.
  /// False if it is not of this form.
  bool replay(const std::string& cuts);

  /// Checks a medium that came about otherwise: old or new, whole, and writable again.
  void check_left(const Medium& medium, const std::string& label);

  const Counts& counts() const noexcept { return counts_; }
  /// One line each: the case, and what was wrong.
  const std::vector<std::string>& failures() const noexcept { return failures_; }

  static constexpr std::size_t max_failures = 10;

 private:
  using Contents = std::vector<store::Variable>;

  bool prepare();
  void cut_change(const Cut& cut);
  void cut_recovery(const Medium& medium, const Cut& cut);
  std::optional<Medium> cut_in(Medium medium, const Cut& cut, bool recovering);
  /// What is shown, "no store", or a failure.
  std::optional<Contents> show(Medium medium, const std::string& when);
  void check(Medium medium, const std::optional<Contents>& expected);
  void check_store(Medium& medium, const Contents& shown);
  void check_findings(flash::Device& device);
  void check_format(Medium& medium);
  void check_repair(Medium medium, bool damaged);
  Status recover(std::unique_ptr<flash::Device> device) const;
  bool enough() const noexcept { return failures_.size() >= max_failures; }
  void fail_case(const std::string& what);

  const Scenario& scenario_;
  Effort effort_;
  Counts counts_;
  std::vector<Operation> operations_;
  std::vector<Contents> allowed_;
  bool no_store_ = false;  ///< the last show() found none, which a format may leave
  bool damaged_ = false;   ///< or one to be repaired, which a repair may leave
  std::string case_;
  std::vector<std::string> failures_;
};

}  // namespace efistore::test
