// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "support/tearing_device.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace efistore::test {

namespace {

constexpr std::byte erased{0xff};

/// splitmix64: the same numbers with every standard library.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next() noexcept {
    state_ += 0x9e3779b97f4a7c15ULL;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27U)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31U);
  }
  std::uint64_t below(std::uint64_t end) noexcept { return next() % end; }

 private:
  std::uint64_t state_;
};

/// Random bytes, eight of one number.
class RandomBytes {
 public:
  explicit RandomBytes(std::uint64_t seed) : random_(seed) {}

  std::byte next() noexcept {
    if (left_ == 0) {
      bits_ = random_.next();
      left_ = 8;
    }
    const auto value = static_cast<std::byte>(bits_ & 0xffU);
    bits_ >>= 8U;
    --left_;
    return value;
  }

 private:
  Random random_;
  std::uint64_t bits_ = 0;
  unsigned left_ = 0;
};

/// Where a header, if there is one, ends: its bits matter more than others, and are picked as often
/// as all others.
constexpr std::size_t headers_size = 128;

/// The bits that are set in `from` and not in `to`, as numbers; half of the time only those at the
/// front, if there are any.
std::vector<std::size_t> bits_between(std::span<const std::byte> from,
                                      std::span<const std::byte> to, Random& random) {
  std::vector<std::size_t> bits;
  const bool front = random.below(2) == 0;
  for (std::size_t i = 0; i < from.size(); ++i) {
    if (front && i >= headers_size && !bits.empty()) break;
    const auto pending = std::to_integer<unsigned>(from[i] & ~to[i]);
    for (unsigned bit = 0; bit < 8; ++bit) {
      if ((pending >> bit & 1U) != 0) bits.push_back(i * 8 + bit);
    }
  }
  return bits;
}

void flip(std::span<std::byte> bytes, std::size_t bit) {
  bytes[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
}

/// Of the bits that `data` is to clear in `place`, clears one chosen at random, or all but that
/// one.
void single_bit(std::span<std::byte> place, std::span<const std::byte> data, Random& random,
                bool alone) {
  const auto bits = bits_between(place, data, random);
  if (!alone) {
    for (std::size_t i = 0; i < place.size(); ++i) place[i] &= data[i];
  }
  if (!bits.empty()) flip(place, bits[random.below(bits.size())]);
}

}  // namespace

std::string_view to_string(Tear tear) noexcept {
  switch (tear) {
    case Tear::before:
      return "before";
    case Tear::after:
      return "after";
    case Tear::first_byte:
      return "first_byte";
    case Tear::half:
      return "half";
    case Tear::all_but_last:
      return "all_but_last";
    case Tear::bits:
      return "bits";
    case Tear::bytes:
      return "bytes";
    case Tear::one_bit:
      return "one_bit";
    case Tear::all_but_a_bit:
      return "all_but_a_bit";
    case Tear::front_erased:
      return "front_erased";
    case Tear::back_erased:
      return "back_erased";
    case Tear::bits_erased:
      return "bits_erased";
    case Tear::few_bits_erased:
      return "few_bits_erased";
    case Tear::scrambled:
      return "scrambled";
    case Tear::unstable:
      return "unstable";
    case Tear::unstable_weakly:
      return "unstable_weakly";
    case Tear::unstable_later:
      return "unstable_later";
  }
  return "unknown";
}

bool is_random(Tear tear) noexcept {
  switch (tear) {
    case Tear::before:
    case Tear::after:
    case Tear::first_byte:
    case Tear::half:
    case Tear::all_but_last:
      return false;
    default:
      return true;
  }
}

TearingDevice::TearingDevice(Medium& medium, std::uint64_t seed)
    : medium_(medium),
      geometry_{.size_bytes = medium.content.size(),
                .erase_block_size_bytes = medium.erase_block_size_bytes},
      seed_(seed) {
  for (auto& [block, instability] : medium_.unstable) {
    shows_[block] = instability.calm_power_ons == 0;
    if (instability.calm_power_ons > 0) --instability.calm_power_ons;
  }
}

void TearingDevice::cut_at(Cut cut) {
  cut_ = cut;
}

Status TearingDevice::powerless() const {
  return fail(Errc::io, name_ + ": the power is off");
}

bool TearingDevice::is_due(Operation operation) {
  operations_.push_back(operation);
  if (operations_.size() != cut_.operation) return false;
  const auto known = operation.kind == OperationKind::program ? std::span<const Tear>(program_tears)
                                                              : std::span<const Tear>(erase_tears);
  if (std::ranges::find(known, cut_.tear) == known.end()) {
    std::fputs("a tear of another kind of operation\n", stderr);
    std::abort();
  }
  is_cut_ = true;
  return true;
}

Status TearingDevice::read(std::uint64_t offset, std::span<std::byte> out) {
  if (auto status = check_read(*this, offset, out.size()); !status) return status;
  if (is_cut_) return powerless();
  const auto begin = medium_.content.begin() + static_cast<std::ptrdiff_t>(offset);
  std::copy_n(begin, out.size(), out.begin());
  if (medium_.unstable.empty()) return {};
  ++reads_;
  const std::uint64_t size = geometry_.erase_block_size_bytes;
  for (const auto& [block, instability] : medium_.unstable) {
    const std::uint64_t first = std::max(offset, block * size);
    const std::uint64_t end = std::min(offset + out.size(), (block + 1) * size);
    if (first >= end || !shows_.at(block)) continue;
    // Two reads in a row turn complementary bits over, so that they never agree.
    RandomBytes random(seed_ + (reads_ / 2) * 0x100000 + block);
    const bool odd = reads_ % 2 == 1;
    for (std::uint64_t at = block * size; at < end; ++at) {
      const std::byte turned = odd ? random.next() : ~random.next();
      if (at >= first) out[at - offset] ^= turned & instability.mask[at - block * size];
    }
  }
  return {};
}

Status TearingDevice::check_bits(std::uint64_t offset, std::span<const std::byte> data) const {
  std::vector<std::byte> current(data.size());
  const std::uint64_t size = geometry_.erase_block_size_bytes;
  for (std::size_t i = 0; i < data.size(); ++i) {
    const std::uint64_t at = offset + i;
    current[i] = medium_.content[at];
    const auto found = medium_.unstable.find(at / size);
    if (found != medium_.unstable.end()) current[i] |= found->second.mask[at % size];
  }
  return check_no_bit_set(*this, offset, current, data);
}

void TearingDevice::tear_program(std::span<std::byte> place,
                                 std::span<const std::byte> data) const {
  Random random(cut_.seed);
  RandomBytes random_bytes(cut_.seed);
  auto whole = [&](std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) place[i] &= data[i];
  };
  switch (cut_.tear) {
    case Tear::after:
      return whole(data.size());
    case Tear::first_byte:
      return whole(std::min<std::size_t>(1, data.size()));
    case Tear::half:
      return whole(data.size() / 2);
    case Tear::all_but_last:
      return whole(data.size() - std::min<std::size_t>(1, data.size()));
    case Tear::bits:
      for (std::size_t i = 0; i < data.size(); ++i) place[i] &= data[i] | random_bytes.next();
      return;
    case Tear::bytes:
      for (std::size_t i = 0; i < data.size(); ++i) {
        if (random.below(2) == 0) place[i] &= data[i];
      }
      return;
    case Tear::one_bit:
      return single_bit(place, data, random, true);
    case Tear::all_but_a_bit:
      return single_bit(place, data, random, false);
    default:
      return;  // before: nothing
  }
}

void TearingDevice::tear_erase(std::uint64_t block) {
  const std::size_t size = geometry_.erase_block_size_bytes;
  const auto place = std::span(medium_.content).subspan(block * size, size);
  Random random(cut_.seed);
  RandomBytes random_bytes(cut_.seed);
  // Within the headers as often as anywhere else in the block.
  const std::size_t border = random.below(random.below(2) == 0 ? headers_size : size);
  std::vector<std::byte> mask;
  unsigned calm_power_ons = 0;
  switch (cut_.tear) {
    case Tear::before:
      return;
    case Tear::front_erased:
      std::ranges::fill(place.first(border), erased);
      break;
    case Tear::back_erased:
      std::ranges::fill(place.subspan(border), erased);
      break;
    case Tear::bits_erased:
      for (std::byte& b : place) b |= random_bytes.next();
      break;
    case Tear::few_bits_erased:
      for (std::uint64_t left = 1 + random.below(3); left > 0; --left) {
        const auto bits = bits_between(std::vector<std::byte>(size, erased), place, random);
        if (!bits.empty()) flip(place, bits[random.below(bits.size())]);
      }
      break;
    case Tear::scrambled:
      for (std::byte& b : place) {
        const std::byte kept = random_bytes.next();
        b = (b & kept) | (random_bytes.next() & ~kept);
      }
      break;
    case Tear::unstable:
      for (std::byte& b : place) b |= random_bytes.next();
      mask.assign(size, erased);
      break;
    case Tear::unstable_weakly:
    case Tear::unstable_later:
      std::ranges::fill(place, erased);
      mask.assign(size, std::byte{0});
      for (std::byte& b : mask) {
        if (random.below(32) == 0) b = static_cast<std::byte>(1U << random.below(8));
      }
      calm_power_ons = cut_.tear == Tear::unstable_later ? 1 : 0;
      break;
    default:
      std::ranges::fill(place, erased);
  }
  // An unstable block whose erase is cut once more is still unstable.
  if (cut_.tear == Tear::after) medium_.unstable.erase(block);
  if (!mask.empty()) medium_.unstable[block] = {std::move(mask), calm_power_ons};
}

Status TearingDevice::program(std::uint64_t offset, std::span<const std::byte> data) {
  if (auto status = check_program(*this, offset, data.size()); !status) return status;
  if (is_cut_) return powerless();
  if (auto status = check_bits(offset, data); !status) return status;
  const std::uint64_t size = geometry_.erase_block_size_bytes;
  while (!data.empty()) {
    const auto part = data.first(
        static_cast<std::size_t>(std::min<std::uint64_t>(data.size(), size - offset % size)));
    const auto place = std::span(medium_.content).subspan(offset, part.size());
    if (is_due({OperationKind::program, {offset, part.size()}})) {
      tear_program(place, part);
      return powerless();
    }
    for (std::size_t i = 0; i < part.size(); ++i) place[i] &= part[i];
    data = data.subspan(part.size());
    offset += part.size();
  }
  return {};
}

Status TearingDevice::erase(flash::Range blocks) {
  if (auto status = check_erase(*this, blocks); !status) return status;
  if (is_cut_) return powerless();
  const std::uint64_t size = geometry_.erase_block_size_bytes;
  for (std::uint64_t block = blocks.offset / size; block < blocks.end() / size; ++block) {
    if (is_due({OperationKind::erase, {block * size, size}})) {
      tear_erase(block);
      return powerless();
    }
    std::ranges::fill(std::span(medium_.content).subspan(block * size, size), erased);
    medium_.unstable.erase(block);
  }
  return {};
}

Status TearingDevice::sync() {
  return is_cut_ ? powerless() : Status{};
}

}  // namespace efistore::test
