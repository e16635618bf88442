// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "certificate_text.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <ctime>
#include <string_view>

#include "efistore/base/bytes.hpp"

namespace efistore::tools {

std::string date_text(std::int64_t seconds) {
  return fmt::format("{:%Y-%m-%d}", fmt::gmtime(static_cast<std::time_t>(seconds)));
}

std::string key_text(const crypto::Certificate& certificate) {
  const std::string_view type = certificate.key_type() == crypto::KeyType::rsa  ? "RSA"
                                : certificate.key_type() == crypto::KeyType::ec ? "EC"
                                                                                : "other";
  return fmt::format("{}-{}", type, certificate.key_bits());
}

Json certificate_json(const crypto::Certificate& certificate) {
  return Json{{"subject", certificate.subject()},
              {"issuer", certificate.issuer()},
              {"serial", certificate.serial()},
              {"not_before", date_text(certificate.not_before())},
              {"not_after", date_text(certificate.not_after())},
              {"key", key_text(certificate)},
              {"sha256", to_hex(certificate.fingerprint())}};
}

}  // namespace efistore::tools
