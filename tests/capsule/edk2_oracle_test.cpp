// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Every capsule of the vectors, judged here and by EDK2's own validators (EDK2-ORACLE.tsv).
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <map>
#include <regex>
#include <sstream>

#include "efistore/capsule/capsule.hpp"
#include "efistore/capsule/dependency.hpp"
#include "efistore/capsule/verify.hpp"

#include "capsule/capsule_support.hpp"

namespace efistore::capsule::test {
namespace {

/// Where the verdict here is another. lib/SPEC.md, "Capsules", has the reasons.
const std::map<std::string, std::string> differences = {
    {"uboot/u06-old-revert.cap", "revert"},
    {"uboot/u17-new-revert.cap", "revert"},
    {"neg/n017.cap", "SUCCESS p0:SUCCESS"},
    {"neg/n019.cap", "INVALID_PARAMETER"},
    {"neg/n027.cap", "INVALID_PARAMETER"},
    {"neg/n074.cap", "SUCCESS p0:SECURITY_VIOLATION"},
    {"neg/n081.cap", "SUCCESS p0:SECURITY_VIOLATION"},
    {"neg/n092.cap", "SUCCESS p0:INVALID_PARAMETER"},
    {"neg/n097.cap", "SUCCESS p0:INVALID_PARAMETER"},
    {"neg/x04.cap", "INVALID_PARAMETER"},
    {"neg/x06.cap", "INVALID_PARAMETER"},
    {"neg/x12.cap", "INVALID_PARAMETER"},
};

struct Row {
  std::string file;
  std::string anchor;
  std::string answer;
};

std::vector<Row> rows() {
  const Bytes table = load("EDK2-ORACLE.tsv");
  std::istringstream lines(std::string(reinterpret_cast<const char*>(table.data()), table.size()));
  std::vector<Row> rows;
  for (std::string line; std::getline(lines, line);) {
    const auto first = line.find('\t');
    const auto second = line.find('\t', first + 1);
    rows.push_back({line.substr(0, first), line.substr(first + 1, second - first - 1),
                    line.substr(second + 1)});
  }
  return rows;
}

std::string first_match(const std::string& text, const std::string& pattern) {
  std::smatch match;
  return std::regex_search(text, match, std::regex(pattern)) ? match[1].str() : "";
}

/// EDK2's answer in the words of verdict().
std::string expected(const Row& row) {
  if (const auto known = differences.find(row.file); known != differences.end()) {
    return known->second;
  }
  if (row.answer.find("IsValidCapsuleHeader=1") == std::string::npos) return "INVALID_PARAMETER";
  if (row.answer.find("not-FMP") != std::string::npos) return "not FMP";
  std::string text = first_match(row.answer, "ValidateFmpCapsule=(\\w+)");
  for (std::size_t i = 0;; ++i) {
    const auto begin = row.answer.find(fmt::format("| p{}:", i));
    if (begin == std::string::npos) return text;
    const auto payload = row.answer.substr(begin, row.answer.find("| p", begin + 1) - begin);
    std::string status = first_match(payload, "Auth=(\\w+)");
    if (status.empty() || status == "SUCCESS") status = first_match(payload, "FmpHdr=(\\w+)");
    text += fmt::format(" p{}:{}", i, status);
  }
}

std::string name(EfiStatus status) {
  return std::string(to_string(status).substr(4));
}

std::string verdict(const Row& row) {
  const Bytes bytes = load(row.file);
  const MemorySource source(bytes);
  const auto capsule = parse_capsule(source);
  if (!capsule) return name(refusal_of(capsule.error()).status);
  if (capsule->kind == CapsuleKind::revert) return "revert";
  if (capsule->kind != CapsuleKind::fmp) return "not FMP";
  const bool is_signed = row.anchor != "(unsigned)";
  std::vector<crypto::Certificate> trusted;
  if (is_signed) trusted.push_back(certificate(row.anchor));
  std::string text = "SUCCESS";
  for (std::size_t i = 0; i < capsule->fmp->payloads.size(); ++i) {
    const auto image =
        VerifiedImage::verify(source, capsule->fmp->payloads[i],
                              {.authenticated = is_signed, .payload_header = true}, trusted);
    text += fmt::format(" p{}:{}", i, image ? "SUCCESS" : name(image.error().status));
  }
  return text;
}

TEST(Edk2Oracle, AgreesOnEveryCapsule) {
  EFISTORE_NEED_VECTORS();
  const auto all = rows();
  ASSERT_EQ(126U, all.size());
  for (const Row& row : all) {
    EXPECT_EQ(expected(row), verdict(row)) << row.file << ": " << row.answer;
  }
}

TEST(Edk2Oracle, DependenciesAreEvaluatedAsThere) {
  EFISTORE_NEED_VECTORS();
  const InstalledVersion installed = [](const Guid& type) -> std::optional<std::uint32_t> {
    if (type == type_a) return 0x10000;
    if (type == type_b) return 0x10002;
    return std::nullopt;
  };
  int evaluated = 0;
  for (const Row& row : rows()) {
    const auto truth = first_match(row.answer, "Evaluate\\([^)]*\\)=(\\w+)");
    if (truth.empty()) continue;
    const auto las =
        std::stoul(first_match(row.answer, "Evaluate\\([^)]*\\)=\\w+ las=(\\w+)"), nullptr, 16);
    const Bytes bytes = load(row.file);
    const MemorySource source(bytes);
    const auto capsule = parse_capsule(source);
    for (const Payload& payload : capsule->fmp->payloads) {
      const auto image = parse_image(source, payload, guess_image_form(source, payload).value());
      if (!image->dependency) continue;
      const Bytes expression = read_all(source, *image->dependency).value();
      const auto answer = evaluate_dependency(expression, installed);
      EXPECT_EQ(truth == "TRUE", answer.has_value()) << row.file;
      if (!answer && las != 0) {
        EXPECT_EQ(las, static_cast<std::uint32_t>(answer.error().status)) << row.file;
      }
      ++evaluated;
    }
  }
  EXPECT_EQ(23, evaluated);
}

}  // namespace
}  // namespace efistore::capsule::test
