// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "examined.hpp"

#include <fmt/format.h>

#include <utility>

#include "common/escape.hpp"
#include "common/locator.hpp"
#include "size.hpp"

namespace efistore::tools {

Outcome<ExaminedStore> examine_store(const std::string& locator) {
  auto device = open_flash(locator, flash::OpenMode::read_only);
  if (!device) return tl::unexpected(std::move(device).error());
  auto examination = store::examine(**device);
  if (!examination) {
    const Error& error = examination.error();
    // `check` leads here as well, so that it is not what the message can recommend.
    if (error.code != Errc::blank) return fail_with(error);
    return fail_with(error.message + "; `efistore create` makes a store there");
  }
  return ExaminedStore{.device = std::move(*device), .examination = std::move(*examination)};
}

Result<flash::WearCounts> wear_of(const std::string& locator, const flash::Device& device) {
  return flash::load_wear(flash::wear_path(locator, device), device.geometry());
}

std::string_view FindingCounts::health() const noexcept {
  if (damage != 0) return "damaged";
  if (warnings != 0) return "warnings";
  return notes != 0 ? "notes" : "clean";
}

FindingCounts count_findings(const store::Examination& examination) noexcept {
  FindingCounts counts;
  for (const store::Finding& finding : examination.findings) {
    switch (finding.severity) {
      case store::Severity::note:
        ++counts.notes;
        break;
      case store::Severity::warning:
        ++counts.warnings;
        break;
      case store::Severity::damage:
        ++counts.damage;
        break;
    }
  }
  return counts;
}

std::string headline(const std::string& locator, const store::Layout& layout) {
  return fmt::format("{}: {}, {} format, {}", escape(locator, EscapeStyle::line), layout.name(),
                     store::to_string(layout.format), format_size(layout.volume_size_bytes));
}

}  // namespace efistore::tools
