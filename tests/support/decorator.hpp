// SPDX-License-Identifier: BSD-2-Clause-Patent
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "efistore/flash/device.hpp"

namespace efistore::test {

/// What the device decorators have in common: a device below, owned or borrowed, whose description
/// is theirs.
class Decorator : public flash::Device {
 public:
  const flash::Geometry& geometry() const noexcept override { return below_.geometry(); }
  const std::string& name() const noexcept override { return below_.name(); }
  bool read_only() const noexcept override { return below_.read_only(); }

 protected:
  explicit Decorator(flash::Device& borrowed) : below_(borrowed) {}
  explicit Decorator(std::unique_ptr<flash::Device> owned)
      : owned_(std::move(owned)), below_(*owned_) {}

  flash::Device& below() noexcept { return below_; }

 private:
  std::unique_ptr<flash::Device> owned_;
  flash::Device& below_;
};

}  // namespace efistore::test
