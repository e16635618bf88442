// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/variable/examine.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "efistore/base/attributes.hpp"
#include "efistore/variable/certificate_database.hpp"
#include "efistore/variable/variable_id.hpp"

#include "uefi_defined.hpp"

namespace efistore::variable {

namespace {

using store::Finding;
using store::Record;
using store::Severity;

/// As many as store::examine() gives.
constexpr std::size_t max_findings = 1000;

class Findings {
 public:
  void add(Severity severity, flash::Range where, std::string what) {
    if (findings_.size() < max_findings) findings_.push_back({severity, where, std::move(what)});
  }
  void add(Severity severity, const Record& record, std::string what) {
    add(severity, {record.offset, record.size}, std::move(what));
  }
  std::vector<Finding> take() { return std::move(findings_); }

 private:
  std::vector<Finding> findings_;
};

std::string id_of(const Record& record) {
  return to_string(record.name, record.guid);
}

/// The limit on the whole record that SetVariable would have, and whose it is.
std::pair<std::uint32_t, std::string_view> limit_for(const Limits& limits,
                                                     std::uint32_t attributes) {
  if ((attributes & attributes::hardware_error_record) != 0)
    return {limits.max_hardware_error_size, "hardware-error records"};
  if ((attributes & attributes::any_authenticated) != 0)
    return {limits.max_authenticated_size, "authenticated variables"};
  return {limits.max_variable_size, "variables"};
}

void examine_sizes(const store::VariableStore& store, const Limits& limits, Findings& out) {
  for (const Record* record = store.first(); record != nullptr; record = store.next(*record)) {
    const auto [limit, of] = limit_for(limits, record->attributes);
    if (record->size <= limit) continue;
    out.add(Severity::warning, *record,
            fmt::format("{} takes {} bytes, and firmware of this layout sets {} of at most {}: it "
                        "can be read, and not be written again as it is",
                        id_of(*record), record->size, of, limit));
  }
  const store::Usage& usage = store.usage();
  const flash::Range area = store.layout().variables;
  const std::uint32_t share = limits.hardware_error_storage_size;
  if (usage.hardware_error_live > share) {
    out.add(Severity::warning, area,
            fmt::format("hardware-error records take {} bytes, and {} are set aside for them: "
                        "firmware adds no more, and other variables lack the space",
                        usage.hardware_error_live, share));
  }
  const std::uint32_t common = usage.live - usage.hardware_error_live;
  const std::uint32_t common_share = usage.capacity - std::min(share, usage.capacity);
  if (common > common_share) {
    out.add(Severity::warning, area,
            fmt::format("variables take {} bytes, and {} are for them, the rest for "
                        "hardware-error records: no variable can be added, also after a reclaim",
                        common, common_share));
  }
}

/// Whether EDK2 keeps in certdb who may change the variable.
bool is_private(const Record& record) {
  return (record.attributes & attributes::time_based_authenticated_write_access) != 0 &&
         record.guid != guids::image_security_database &&
         find_property(record.name, record.guid) == nullptr;
}

void examine_certificates(const store::VariableStore& store, Findings& out) {
  const Record* const database = store.find(certificate_database_name, certificate_database_guid);
  std::set<std::pair<std::u16string, Guid>> owned;
  if (database != nullptr) {
    const auto nodes = parse_certificate_database(database->data);
    if (!nodes) {
      out.add(Severity::damage, *database,
              fmt::format("certdb, which tells who may change private authenticated variables, "
                          "cannot be read: {}; firmware changes none of them any more",
                          nodes.error().message));
      return;
    }
    for (const CertificateNode& node : *nodes) {
      const std::string id = to_string(node.name, node.guid);
      if (!owned.emplace(node.name, node.guid).second)
        out.add(Severity::warning, *database, "certdb has two nodes for " + id);
      const Record* const record = store.find(node.name, node.guid);
      if (record == nullptr) {
        out.add(Severity::note, *database,
                fmt::format("certdb's node at byte {} is for {}, which is not there; firmware "
                            "removes the node when it starts",
                            node.offset, id));
      } else if (!is_private(*record)) {
        out.add(Severity::warning, *database,
                fmt::format("certdb's node at byte {} is for {}, which is no private authenticated "
                            "variable",
                            node.offset, id));
      }
    }
  }
  for (const Record* record = store.first(); record != nullptr; record = store.next(*record)) {
    if (!is_private(*record) || owned.contains({record->name, record->guid})) continue;
    out.add(Severity::warning, *record,
            id_of(*record) +
                " is authenticated, and certdb does not tell by whom: it cannot be changed or "
                "deleted any more, whoever signs");
  }
}

}  // namespace

std::vector<Finding> examine_variables(const store::VariableStore& store, const Limits& limits) {
  Findings findings;
  examine_sizes(store, limits, findings);
  examine_certificates(store, findings);
  return findings.take();
}

}  // namespace efistore::variable
