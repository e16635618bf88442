// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Captures from hostile bytes: what is read lies in the input, and comes back the same when it is
// written down again.
#include <algorithm>
#include <functional>
#include <span>
#include <vector>

#include "efistore/base/bytes.hpp"

#include "common/capture_format.hpp"
#include "target.hpp"

namespace efistore::fuzz {
namespace {

void check(std::span<const std::byte> bytes) {
  const auto frames = tools::parse_capture(bytes);
  if (!frames) {
    require(!frames.error().message.empty(), "a refusal has a reason");
    return;
  }
  // A packet has 24 bytes and its block more.
  require(frames->size() <= bytes.size() / 24, "no more frames than there is room for");
  auto again = tools::capture_file_header();
  const std::less_equal<> before;
  for (const auto& frame : *frames) {
    require(frame.frame.empty() ||
                (before(bytes.data(), frame.frame.data()) &&
                 before(frame.frame.data() + frame.frame.size(), bytes.data() + bytes.size())),
            "a frame is part of the input");
    const auto block = tools::encode_captured_frame(frame);
    again.insert(again.end(), block.begin(), block.end());
  }
  const auto reread = tools::parse_capture(again);
  require(reread.has_value() && reread->size() == frames->size(), "what is written is read");
  for (std::size_t i = 0; i < frames->size(); ++i) {
    const auto& was = (*frames)[i];
    const auto& is = (*reread)[i];
    require(was.time_ns == is.time_ns && was.direction == is.direction &&
                was.transport == is.transport && was.rights == is.rights && was.uid == is.uid &&
                was.session == is.session && equal_bytes(was.frame, is.frame),
            "a frame comes back the same");
  }
}

}  // namespace
}  // namespace efistore::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  efistore::fuzz::check(std::as_bytes(std::span(data, size)));
  return 0;
}
