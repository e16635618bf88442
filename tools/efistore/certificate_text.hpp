// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Certificates as the commands show them.
#pragma once

#include <cstdint>
#include <string>

#include "efistore/crypto/certificate.hpp"

#include "json.hpp"

namespace efistore::tools {

/// "2026-11-21"
std::string date_text(std::int64_t seconds);

/// "RSA-2048"
std::string key_text(const crypto::Certificate& certificate);

/// {"subject","issuer","serial","not_before","not_after","key","sha256"}
Json certificate_json(const crypto::Certificate& certificate);

}  // namespace efistore::tools
