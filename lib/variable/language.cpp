// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Lang (ISO 639-2, three letters without separators) and PlatformLang (RFC 4646, separated by ';')
// name one language; setting one sets the other (UEFI 2.10, 3.3, and EDK2's
// AutoUpdateLangVariable).
#include <algorithm>
#include <optional>
#include <string_view>

#include "efistore/base/attributes.hpp"

#include "state.hpp"

namespace efistore::variable {

namespace {

constexpr std::size_t iso639_size = 3;

/// The text up to the first NUL.
std::string_view text_of(std::span<const std::byte> data) noexcept {
  const auto* const text = reinterpret_cast<const char*>(data.data());
  return std::string_view(text, data.size())
      .substr(0, std::string_view(text, data.size()).find('\0'));
}

/// Position of an ISO 639 language in "engfraspa".
std::optional<std::size_t> find_iso639(std::string_view codes, std::string_view language) noexcept {
  if (language.size() < iso639_size) return std::nullopt;
  const std::string_view wanted = language.substr(0, iso639_size);
  for (std::size_t i = 0; (i + 1) * iso639_size <= codes.size(); ++i) {
    if (codes.substr(i * iso639_size, iso639_size) == wanted) return i;
  }
  return std::nullopt;
}

/// The n-th of "en-US;fr-FR;es".
std::optional<std::string_view> rfc4646_at(std::string_view codes, std::size_t index) noexcept {
  while (!codes.empty()) {
    const std::string_view code = codes.substr(0, codes.find(';'));
    if (index-- == 0) return code;
    codes.remove_prefix(std::min(code.size() + 1, codes.size()));
  }
  return std::nullopt;
}

/// Position of an RFC 4646 language (of a list, the first), or of the longest of its prefixes that
/// is there ("en-GB-oed", then "en-GB", then "en"; a prefix also matches a longer code).
std::optional<std::size_t> find_rfc4646(std::string_view codes,
                                        std::string_view language) noexcept {
  language = language.substr(0, language.find(';'));
  while (!language.empty()) {
    for (std::size_t i = 0;; ++i) {
      const auto code = rfc4646_at(codes, i);
      if (!code) break;
      if (code->starts_with(language) &&
          (code->size() == language.size() || (*code)[language.size()] == '-')) {
        return i;
      }
    }
    const std::size_t dash = language.rfind('-');
    language = language.substr(0, dash == std::string_view::npos ? 0 : dash);
  }
  return std::nullopt;
}

/// Sets `name` to `language` and a NUL.
EfiResult<void> set_language(Services::State& state, std::u16string_view name,
                             std::string_view language) {
  std::string data(language);
  data += '\0';
  return update_variable(state,
                         {.name = name,
                          .guid = guids::global_variable,
                          .attributes = attributes::default_new,
                          .data = std::as_bytes(std::span<const char>(data.data(), data.size()))});
}

/// Both variables must fit, or neither is changed. What they replace is room for them, unless no
/// reclaim can follow.
bool both_fit(const Services::State& state, std::string_view lang, std::string_view platform_lang) {
  const bool reclaims = !state.at_runtime() || !state.strict_runtime;
  std::size_t needed = 0;
  std::size_t replaced = 0;
  auto add = [&](std::u16string_view name, std::string_view language) {
    needed += store::align_record(state.header_size() + (name.size() + 1) * sizeof(char16_t) +
                                  language.size() + 1);
    const store::Record* const old = state.nv.find(name, guids::global_variable);
    if (old != nullptr) replaced += store::align_record(old->size);
  };
  add(u"Lang", lang);
  add(u"PlatformLang", platform_lang);
  const store::Usage& usage = state.nv.usage();
  const std::size_t used =
      reclaims ? usage.live - usage.hardware_error_live - replaced : state.common_used();
  return used + needed <= (state.at_runtime() ? state.runtime_space() : state.common_space());
}

EfiResult<void> no_room() {
  return refuse(EfiStatus::out_of_resources, "Lang and PlatformLang do not both fit");
}

EfiResult<void> follow_platform_lang(Services::State& state, std::string_view platform_lang) {
  const auto index = find_rfc4646(state.platform_lang_codes, platform_lang);
  if (!index || (*index + 1) * iso639_size > state.lang_codes.size()) return {};
  const auto lang = std::string_view(state.lang_codes).substr(*index * iso639_size, iso639_size);
  if (!both_fit(state, lang, platform_lang)) return no_room();
  return set_language(state, u"Lang", lang);
}

EfiResult<void> follow_lang(Services::State& state, std::string_view lang) {
  const auto index = find_iso639(state.lang_codes, lang);
  if (!index) return {};
  const auto platform_lang = rfc4646_at(state.platform_lang_codes, *index);
  if (!platform_lang) return {};
  if (!both_fit(state, lang, *platform_lang)) return no_room();
  return set_language(state, u"PlatformLang", *platform_lang);
}

}  // namespace

bool is_language_variable(std::u16string_view name, const Guid& guid) noexcept {
  return guid == guids::global_variable &&
         (name == u"Lang" || name == u"LangCodes" || name == u"PlatformLang" ||
          name == u"PlatformLangCodes");
}

EfiResult<void> update_languages(Services::State& state, const SetRequest& request) {
  if (request.data.empty() || is_deletion(request.attributes, request.data.size())) return {};
  const bool platform_codes = request.name == u"PlatformLangCodes";
  if (platform_codes || request.name == u"LangCodes") {
    if (state.at_runtime()) {
      return refuse(EfiStatus::write_protected, "the supported languages are fixed at runtime");
    }
    (platform_codes ? state.platform_lang_codes : state.lang_codes) = text_of(request.data);
  }
  if (state.platform_lang_codes.empty() || state.lang_codes.empty()) return {};
  if (request.name == u"PlatformLang") return follow_platform_lang(state, text_of(request.data));
  if (request.name == u"Lang") return follow_lang(state, text_of(request.data));
  // The second of the two lists has come: what is set already decides. The list is set whether or
  // not a language can follow.
  if (const Existing set = state.find(u"PlatformLang", guids::global_variable)) {
    (void)follow_platform_lang(state, std::string(text_of(set.record->data)));
  } else if (const Existing lang = state.find(u"Lang", guids::global_variable)) {
    (void)follow_lang(state, std::string(text_of(lang.record->data)));
  }
  return {};
}

}  // namespace efistore::variable
