// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "support/vectors.hpp"

#include <lzma.h>

#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>

namespace efistore::test {

namespace {

constexpr std::size_t size_limit = std::size_t{64} << 20;
/// Enough for the largest preset, xz -9.
constexpr std::uint64_t memory_limit = std::uint64_t{128} << 20;

struct EndDecoder {
  void operator()(lzma_stream* stream) const noexcept { lzma_end(stream); }
};

}  // namespace

std::filesystem::path vectors_dir() {
  return std::filesystem::path(EFISTORE_SHARED_DIR) / "vectors";
}

bool runs_in_ci() {
  const char* value = std::getenv("CI");
  return value != nullptr && std::string_view(value) == "true";
}

Result<std::vector<std::byte>> decompress_xz(std::span<const std::byte> packed) {
  lzma_stream stream = LZMA_STREAM_INIT;
  const std::unique_ptr<lzma_stream, EndDecoder> end(&stream);
  if (lzma_stream_decoder(&stream, memory_limit, 0) != LZMA_OK) {
    return fail(Errc::no_space, "xz: no memory");
  }
  std::vector<std::byte> plain;
  std::vector<std::byte> part(65536);
  stream.next_in = reinterpret_cast<const std::uint8_t*>(packed.data());
  stream.avail_in = packed.size();
  while (true) {
    stream.next_out = reinterpret_cast<std::uint8_t*>(part.data());
    stream.avail_out = part.size();
    const lzma_ret result = lzma_code(&stream, LZMA_FINISH);
    if (result != LZMA_OK && result != LZMA_STREAM_END) {
      return fail(Errc::damaged, "xz: decoder error " + std::to_string(result));
    }
    const std::size_t count = part.size() - stream.avail_out;
    if (count > size_limit - plain.size()) return fail(Errc::no_space, "xz: larger than 64 MiB");
    plain.insert(plain.end(), part.begin(), part.begin() + static_cast<std::ptrdiff_t>(count));
    if (result == LZMA_STREAM_END) return plain;
  }
}

Result<std::vector<std::byte>> load_vector(std::string_view path) {
  const std::filesystem::path file = vectors_dir() / path;
  std::ifstream in(file, std::ios::binary);
  if (!in) return fail(Errc::not_found, file.string() + ": no such vector");
  const std::string content{std::istreambuf_iterator<char>(in), {}};
  if (in.bad()) return fail(Errc::io, file.string() + ": not readable");
  const auto bytes = std::as_bytes(std::span(content));
  if (!path.ends_with(".xz")) return std::vector<std::byte>(bytes.begin(), bytes.end());
  auto plain = decompress_xz(bytes);
  if (!plain) return forward(std::move(plain), file.string());
  return plain;
}

}  // namespace efistore::test
