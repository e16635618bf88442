// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Every flash operation of real EDK2 (OVMF 2026.08) while it reclaims, recorded under QEMU: the
// image after each of the 23,159 operations, those on which EDK2 itself crashes or loses variables
// included, opens here, for reading and for writing, with nothing lost.
#include <gmock/gmock.h>
#include <zlib.h>

#include <iostream>
#include <map>
#include <memory>

#include "store/store_fixture.hpp"
#include "support/sample.hpp"
#include "support/vectors.hpp"

namespace efistore::test {
namespace {

using store::VariableStore;

struct Operation {
  std::uint32_t offset;
  std::span<const std::byte> bytes;
};

/// A recorded run: the image before it, and each operation as the bytes that it leaves.
struct Trace {
  Bytes raw;
  std::span<const std::byte> base;
  std::vector<Operation> operations;
};

/// facts: zlib("EDK2TRC1" u32 base_len u32 n_ops base { u32 offset u16 length bytes }*).
Trace load_trace() {
  const Bytes packed = load_vector("store/t02-edk2-2026.08-ovmf4m-reclaim.trace.z").value();
  Trace trace;
  trace.raw.resize(16U << 20);
  uLongf size = trace.raw.size();
  EXPECT_EQ(uncompress(reinterpret_cast<Bytef*>(trace.raw.data()), &size,
                       reinterpret_cast<const Bytef*>(packed.data()), packed.size()),
            Z_OK);
  trace.raw.resize(size);
  ByteReader reader(trace.raw);
  EXPECT_EQ(to_hex(reader.take(8)), to_hex(as_bytes("EDK2TRC1")));
  const std::uint32_t base_size = reader.u32();
  const std::uint32_t count = reader.u32();
  trace.base = reader.take(base_size);
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint32_t offset = reader.u32();
    const std::uint16_t length = reader.u16();
    trace.operations.push_back({offset, reader.take(length)});
  }
  EXPECT_TRUE(reader.ok() && reader.remaining() == 0);
  return trace;
}

/// Names and data of the live variables.
std::map<std::string, Bytes> variables_in(const VariableStore& opened) {
  std::map<std::string, Bytes> found;
  for (const auto* r = opened.first(); r != nullptr; r = opened.next(*r)) {
    std::string id;
    for (const char16_t c : r->name) id += static_cast<char>(c);
    found.emplace(id + "-" + to_string(r->guid), Bytes(r->data.begin(), r->data.end()));
  }
  return found;
}

/// The values that each variable had in turn. Of the test's own, none has to come back: a value
/// that is left is old. (The firmware sets its ConOut back and forth.)
class History {
 public:
  /// What is wrong with `found` after all that was seen before; empty if nothing is.
  std::string add(const std::map<std::string, Bytes>& found) {
    for (const auto& [name, value] : found) {
      std::vector<Bytes>& values = values_[name];
      if (!values.empty() && values.back() == value) continue;
      const bool own = name.ends_with(to_string(vendor));
      if (own && std::ranges::find(values, value) != values.end()) return name + " is old again";
      values.push_back(value);
    }
    for (const auto& [name, values] : values_) {
      if (!found.contains(name)) return name + " is gone";
    }
    return {};
  }

  std::size_t values_of(const std::string& name) const { return values_.at(name).size(); }

 private:
  std::map<std::string, std::vector<Bytes>> values_;
};

/// The images after the operations of one part of the run; parts run in parallel.
class Edk2Trace : public testing::TestWithParam<int> {};
constexpr int parts = 4;
INSTANTIATE_TEST_SUITE_P(Parts, Edk2Trace, testing::Range(0, parts));

TEST_P(Edk2Trace, EveryImageOpensWithNothingLost) {
  EFISTORE_NEED_VECTORS();
  const Trace trace = load_trace();
  ASSERT_EQ(trace.operations.size(), 23159U);
  const auto part = static_cast<std::size_t>(GetParam());
  const std::size_t begin = trace.operations.size() * part / parts;
  const std::size_t end = trace.operations.size() * (part + 1) / parts;
  Bytes image(trace.base.begin(), trace.base.end());
  History history;
  std::size_t opened = 0;
  for (std::size_t done = 0; done <= end; ++done) {
    if (done > 0) {
      const Operation& operation = trace.operations[done - 1];
      std::ranges::copy(operation.bytes, image.begin() + operation.offset);
    }
    if (done < begin || (done - begin) % sample_stride != 0) continue;
    const auto store = VariableStore::open(std::make_unique<flash::MemoryDevice>(image, 0x1000));
    ASSERT_TRUE(store) << "after " << done << ": " << store.error().message;
    ++opened;
    const auto found = variables_in(*store);
    ASSERT_EQ(history.add(found), "") << "after " << done;
    ASSERT_FALSE(store->report().damaged || store->read_only()) << "after " << done;
    if (opened % 8 != 1) continue;
    const auto reading = VariableStore::open(std::make_unique<flash::MemoryDevice>(image, 0x1000),
                                             {.read_only = true});
    ASSERT_TRUE(reading) << "after " << done << ": " << reading.error().message;
    ASSERT_TRUE(found == variables_in(*reading)) << "after " << done;
  }
  for (const char* name : {"Keep0-", "Keep1-", "Keep2-", "Keep3-"}) {
    EXPECT_EQ(history.values_of(name + to_string(vendor)), 1U);
  }
  EXPECT_EQ(opened, sampled(end - begin + 1));
  std::cout << "edk2 trace: " << opened << " images opened " << sample_note() << "\n";
}

}  // namespace
}  // namespace efistore::test
