// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Capsules of every kind. Parts lie in one another and fill what they are parts of; a dependency
// that is shown as an expression compiles to itself; what is verified without a signature is read
// back as it is; a capsule is made of its contents again, byte by byte.
#include <algorithm>
#include <span>
#include <vector>

#include "efistore/base/bytes.hpp"
#include "efistore/capsule/build.hpp"
#include "efistore/capsule/capsule.hpp"
#include "efistore/capsule/dependency.hpp"
#include "efistore/capsule/verify.hpp"

#include "target.hpp"

namespace efistore::fuzz {
namespace {

using capsule::Range;

bool within(const Range& inner, const Range& outer) {
  return inner.offset >= outer.offset && inner.end() <= outer.end();
}

void check_dependency(std::span<const std::byte> expression) {
  const auto text = capsule::dependency_text(expression);
  require(text.has_value(), "a dependency that was found can be shown");
  const auto compiled = capsule::compile_dependency(*text);
  require(!compiled || std::ranges::equal(*compiled, expression),
          "a text compiles to what it was made of");
  (void)capsule::evaluate_dependency(expression, [](const Guid& type) {
    return std::optional<std::uint32_t>(std::to_integer<std::uint32_t>(type.bytes[0]));
  });
}

void check_image(const capsule::Source& source, std::span<const std::byte> bytes,
                 const capsule::Payload& payload, const capsule::ImageForm& form) {
  const auto image = capsule::parse_image(source, payload, form);
  const auto verified = capsule::VerifiedImage::verify(source, payload, form, {});
  require(verified.has_value() == (image.has_value() && !form.authenticated),
          "without trust what is authenticated is refused, and nothing else");
  if (!image) return;
  require(within(image->firmware, payload.image) && image->firmware.size > 0 &&
              image->firmware.end() == payload.image.end(),
          "firmware is the rest of its image");
  if (image->dependency) {
    require(within(*image->dependency, payload.image), "a dependency is in its image");
    check_dependency(bytes.subspan(image->dependency->offset, image->dependency->size));
  }
  if (!verified) return;
  std::vector<std::byte> firmware(image->firmware.size);
  require(capsule::VerifiedSource(source, *verified)
                  .read(image->firmware.offset, firmware)
                  .has_value() &&
              equal_bytes(firmware, bytes.subspan(image->firmware.offset, firmware.size())),
          "what was verified can be read");
}

void check_contents(const capsule::Source& source, std::span<const std::byte> bytes,
                    const capsule::Capsule& capsule) {
  const auto contents = capsule::contents_of(source, capsule);
  if (!contents) {
    require(contents.error().code == Errc::unsupported, "memory can be read");
    return;
  }
  const auto encoded = capsule::encode(*contents);
  require(encoded.has_value() && equal_bytes(*encoded, bytes),
          "a capsule is what is made of its contents");
}

void check(std::span<const std::byte> bytes) {
  const capsule::MemorySource source(bytes);
  const auto capsule = capsule::parse_capsule(source);
  if (!capsule) return;
  require(capsule->outer().offset == 0 && capsule->outer().image_size == bytes.size(),
          "the outermost capsule takes all");
  require(capsule->header.body().end() == bytes.size(), "so does what is in it");
  check_contents(source, bytes, *capsule);
  if (!capsule->fmp) return;
  for (const capsule::Payload& payload : capsule->fmp->payloads) {
    require(within(payload.image, capsule->header.body()), "an image is in its capsule");
    require(within(payload.vendor_code, capsule->header.body()), "so is its vendor code");
    require(capsule::guess_image_form(source, payload).has_value(), "memory can be read");
    for (const bool authenticated : {false, true}) {
      for (const bool header : {false, true}) {
        check_image(source, bytes, payload, {authenticated, header});
      }
    }
  }
}

}  // namespace
}  // namespace efistore::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  efistore::fuzz::check(std::as_bytes(std::span(data, size)));
  return 0;
}
