// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "firmware.hpp"

#include <fmt/format.h>

#include <CLI/App.hpp>
#include <chrono>
#include <utility>

#include "efistore/flash/open.hpp"

#include "common/escape.hpp"

namespace efistore::tools {

void FirmwareOptions::add_to(CLI::App& command) {
  command.add_option("--firmware", folder, "Where firmware resources are described")
      ->type_name("DIR")
      ->capture_default_str();
  command.add_option("--state", state_folder, "Where capsules are kept while they are applied")
      ->type_name("DIR")
      ->capture_default_str();
}

Outcome<std::unique_ptr<Firmware>> Firmware::open(const std::string& locator,
                                                  const FirmwareOptions& options,
                                                  flash::OpenMode mode, update::Observer observer) {
  if (is_remote(locator)) {
    return fail_with(fmt::format(
        "{}: EFI_UNSUPPORTED: a daemon has the store; the state of updates is in variables of boot "
        "services, so stop it and give the store itself",
        locator));
  }
  auto resources = update::load_resources(options.folder);
  if (!resources) return fail_with(resources.error());
  auto services = open_services(locator, mode);
  if (!services) return tl::unexpected(std::move(services).error());
  std::unique_ptr<Firmware> firmware(new Firmware(std::move(*resources), std::move(*services)));
  firmware->updater_.emplace(
      update::Environment{.resources = firmware->resources_,
                          .variables = firmware->variables_,
                          .state_folder = options.state_folder,
                          .open_device = flash::open_device,
                          .now =
                              [] {
                                return EfiTime::from_unix(std::chrono::system_clock::to_time_t(
                                    std::chrono::system_clock::now()));
                              }},
      std::move(observer));
  return firmware;
}

Json outcome_json(const update::UpdateOutcome& outcome) {
  Json payloads = Json::array();
  for (const update::PayloadOutcome& payload : outcome.payloads) {
    Json blocks = Json::array();
    for (const update::BlockSet::Run& run : payload.blocks.runs()) {
      blocks.push_back({{"first", run.first}, {"count", run.count}});
    }
    Json json{
        {"payload", payload.payload},
        {"type_id", to_string(payload.type_id)},
        {"index", payload.image_index},
        {"resource", payload.resource != nullptr ? Json(payload.resource->name) : Json(nullptr)},
        {"version", payload.version ? Json(*payload.version) : Json(nullptr)},
        {"bank", payload.bank},
        {"firmware_size", payload.firmware_size_bytes},
        {"block_size", payload.block_size_bytes},
        {"blocks", std::move(blocks)},
        {"written", payload.is_written},
        {"status", to_string(payload.status)},
        {"last_attempt_status", static_cast<std::uint32_t>(payload.last_attempt)}};
    if (!payload.reason.empty()) json["message"] = payload.reason;
    payloads.push_back(std::move(json));
  }
  Json json{{"status", to_string(outcome.status)},
            {"capsule_guid", to_string(outcome.capsule_guid)},
            {"reset_required", outcome.reset_required},
            {"payloads", std::move(payloads)}};
  if (!outcome.reason.empty()) json["message"] = outcome.reason;
  return json;
}

}  // namespace efistore::tools
