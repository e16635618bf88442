// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Constants of the structures in an FMP capsule, for those who read and write them.
#pragma once

#include <cstdint>

namespace efistore::capsule {

inline constexpr std::uint32_t fmp_header_version = 1;
inline constexpr std::uint64_t fmp_header_size = 8;
/// One of ItemOffsetList.
inline constexpr std::uint64_t item_offset_size = 8;
/// Of an image header: where its reserved bytes are, three of them.
inline constexpr std::uint64_t image_header_reserved_offset = 21;
inline constexpr std::uint64_t image_header_reserved_size = 3;
inline constexpr std::uint64_t authentication_size = 32;
/// MonotonicCount, which stands before the WIN_CERTIFICATE that dwLength counts.
inline constexpr std::uint64_t monotonic_count_size = 8;
/// dwLength, wRevision, wCertificateType and CertType.
inline constexpr std::uint32_t certificate_header_size = 24;
inline constexpr std::uint16_t certificate_revision = 0x0200;
inline constexpr std::uint16_t certificate_type_guid = 0x0ef1;
inline constexpr std::uint32_t payload_header_size = 16;
inline constexpr std::uint32_t payload_header_signature = 0x3153534d;  // "MSS1"

}  // namespace efistore::capsule
