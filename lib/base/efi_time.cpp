// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "efistore/base/efi_time.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <tuple>

#include "efistore/base/bytes.hpp"

namespace efistore {

using std::chrono::days;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using std::chrono::sys_days;
using std::chrono::sys_seconds;
using std::chrono::year_month_day;

EfiTime EfiTime::from_bytes(std::span<const std::byte> raw) noexcept {
  EfiTime time;
  std::copy_n(raw.begin(), time.bytes.size(), time.bytes.begin());
  return time;
}

EfiTime EfiTime::from_unix(std::int64_t unix_seconds) noexcept {
  constexpr sys_seconds first = sys_days{std::chrono::year{1900} / 1 / 1};
  constexpr sys_seconds last = sys_days{std::chrono::year{10000} / 1 / 1} - seconds{1};
  const sys_seconds when = std::clamp(sys_seconds{seconds{unix_seconds}}, first, last);
  const sys_days day = std::chrono::floor<days>(when);
  const year_month_day date{day};
  const std::chrono::hh_mm_ss clock{when - day};
  EfiTime time;
  ByteWriter out(time.bytes);
  out.u16(static_cast<std::uint16_t>(static_cast<int>(date.year())));
  out.u8(static_cast<std::uint8_t>(static_cast<unsigned>(date.month())));
  out.u8(static_cast<std::uint8_t>(static_cast<unsigned>(date.day())));
  out.u8(static_cast<std::uint8_t>(clock.hours().count()));
  out.u8(static_cast<std::uint8_t>(clock.minutes().count()));
  out.u8(static_cast<std::uint8_t>(clock.seconds().count()));
  return time;
}

std::uint16_t EfiTime::year() const noexcept {
  return ByteReader(bytes).u16();
}

namespace {

year_month_day date_of(const EfiTime& time) noexcept {
  return {std::chrono::year{time.year()}, std::chrono::month{time.month()},
          std::chrono::day{time.day()}};
}

}  // namespace

bool EfiTime::is_later_than(const EfiTime& other) const noexcept {
  const auto fields = [](const EfiTime& t) {
    return std::tuple(t.year(), t.month(), t.day(), t.hour(), t.minute(), t.second());
  };
  return fields(*this) > fields(other);
}

bool EfiTime::is_date() const noexcept {
  return date_of(*this).ok() && year() >= 1900 && year() <= 9999 && hour() <= 23 &&
         minute() <= 59 && second() <= 59;
}

std::int64_t EfiTime::to_unix() const noexcept {
  const year_month_day date = date_of(*this);
  if (!date.ok() || hour() > 23 || minute() > 59 || second() > 59) return 0;
  const sys_seconds when = sys_days{date} + hours{hour()} + minutes{minute()} + seconds{second()};
  return when.time_since_epoch().count();
}

std::string to_string(const EfiTime& time) {
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", time.year(), time.month(), time.day(),
                     time.hour(), time.minute(), time.second());
}

}  // namespace efistore
