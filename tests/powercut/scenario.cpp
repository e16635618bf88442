// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "powercut/scenario.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <tuple>

#include "efistore/base/attributes.hpp"
#include "efistore/base/bytes.hpp"
#include "efistore/flash/memory_device.hpp"
#include "efistore/store/repair.hpp"
#include "efistore/store/scan.hpp"
#include "efistore/variable/services.hpp"

#include "support/tearing_device.hpp"
#include "variable/signing.hpp"

namespace efistore::test {

namespace {

using store::RecordContent;
using store::VariableStore;
using Bytes = std::vector<std::byte>;
using Device = std::unique_ptr<flash::Device>;
using StoreChange = std::function<Status(VariableStore&)>;

constexpr Guid own = *Guid::parse("11223344-5566-7788-99aa-bbccddeeff00");
constexpr Guid other = *Guid::parse("8be4df61-93ca-11d2-aa0d-00e098032b8c");
constexpr std::uint32_t nv_bs_rt =
    attributes::non_volatile | attributes::bootservice_access | attributes::runtime_access;

/// A scenario that cannot be made is no test at all.
template <typename T>
T must(Result<T> result) {
  if (!result) {
    std::fprintf(stderr, "cannot make a scenario: %s\n", result.error().message.c_str());
    std::abort();
  }
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

/// Data in which no byte is like its neighbour and none is erased.
Bytes filling(std::size_t size, unsigned salt) {
  Bytes bytes(size);
  for (std::size_t i = 0; i < size; ++i) {
    bytes[i] = static_cast<std::byte>((i * 37 + i / 253 + salt * 11) % 255);
  }
  return bytes;
}

RecordContent content(std::u16string_view name, const Bytes& data, const Guid& guid = own) {
  return {name, guid, nv_bs_rt, data};
}

/// A device whose content can be looked at while a store has it.
struct Image {
  explicit Image(Bytes content) : medium{.content = std::move(content)} {}
  Device device() { return std::make_unique<TearingDevice>(medium); }
  VariableStore open() { return must(VariableStore::open(device())); }

  Medium medium;
};

Bytes blank(const store::Layout& layout) {
  Image image(Bytes(layout.volume_size_bytes, std::byte{0xff}));
  must(VariableStore::format(*image.device(), layout));
  return std::move(image.medium.content);
}

/// Makes the change over `image`.
Bytes changed(Bytes image, const StoreChange& change) {
  Image on(std::move(image));
  auto opened = on.open();
  must(change(opened));
  return std::move(on.medium.content);
}

/// Live and dead records; two live ones have the same name and differ in the GUID. With several
/// blocks for variables a record lies across a border, before a reclaim and after it.
Bytes filled(const store::Layout& layout) {
  const bool several_blocks = layout.variables.size > layout.block_size_bytes;
  const std::size_t unit = several_blocks ? 1300 : 150;
  return changed(blank(layout), [&](VariableStore& s) -> Status {
    must(s.put(content(u"Kept", filling(unit / 3, 1))));
    must(s.put(content(u"Changed", filling(unit, 2))));
    must(s.put(content(u"Dead", filling(2 * unit, 3))));
    must(s.put(content(u"Kept", filling(unit / 2, 4), other)));
    must(s.put(content(u"Changed", filling(unit, 5))));
    must(s.put(content(u"Last", filling(unit / 2, 6), other)));
    if (several_blocks) must(s.put(content(u"Large", filling(3000, 15))));
    return s.remove(*s.find(u"Dead", own));
  });
}

/// As filled(), and a bit more in the spare, as firmware leaves it that puts back what was there.
Bytes with_used_spare(const store::Layout& layout) {
  Bytes image = filled(layout);
  const auto begin = image.begin();
  std::copy_n(begin, layout.variables.size,
              begin + static_cast<std::ptrdiff_t>(layout.ftw_spare.offset));
  return image;
}

/// filled(), reclaimed until the queue of the working area has no room for another write.
Bytes with_full_queue(const store::Layout& layout) {
  constexpr std::size_t header_size = 32;
  constexpr std::size_t entry_size = 80;
  const std::size_t entries = (layout.ftw_working.size - header_size) / entry_size;
  return changed(filled(layout), [&](VariableStore& s) -> Status {
    for (std::size_t i = 0; i < entries; ++i) {
      must(s.put(content(u"Last", filling(40 + i % 2, 6), other)));
      must(s.reclaim());
    }
    return s.put(content(u"Last", filling(42, 6), other));
  });
}

/// filled(), with a record behind the chain whose writing was cut in the middle.
Bytes with_residue(const store::Layout& layout) {
  Bytes image = filled(layout);
  std::uint32_t end = 0;
  {
    Image on(image);
    auto opened = on.open();
    end = 0x64 + opened.usage().used;
  }
  const auto record = store::encode_record(layout.format, content(u"Torn", filling(100, 7)),
                                           store::RecordState::header_only);
  std::copy_n(record.begin(), record.size() / 2, image.begin() + end);
  return image;
}

/// filled(), in the middle of being compacted: the variables are in the spare.
Bytes with_pending_copy(const store::Layout& layout) {
  Medium medium{.content = filled(layout)};
  for (std::uint64_t operation = 1;; ++operation) {
    Medium cut = medium;
    {
      auto device = std::make_unique<TearingDevice>(cut);
      device->cut_at({.operation = operation, .tear = Tear::after});
      auto opened = must(VariableStore::open(std::move(device)));
      if (opened.reclaim()) std::abort();
    }
    TearingDevice device(cut);
    const auto found = store::examine(device);
    // Its first block is erased then.
    const bool erased = is_filled(std::span(cut.content).first(64), std::byte{0xff});
    if (found && found->ftw == store::FtwState::copying && erased) return cut.content;
  }
}

Scenario of_device(const store::Layout& layout, Bytes image, std::function<Status(Device)> change) {
  return {.layout = layout, .image = std::move(image), .change = std::move(change)};
}

Scenario of_store(const store::Layout& layout, Bytes image, const StoreChange& change) {
  auto scenario = of_device(layout, std::move(image), [change](Device device) -> Status {
    auto opened = VariableStore::open(std::move(device));
    if (!opened) return forward(std::move(opened));
    if (!opened->report().not_written_because.empty())
      return fail(Errc::io, opened->report().not_written_because);
    return change(*opened);
  });
  scenario.store_change = change;
  return scenario;
}

Scenario of_format(const store::Layout& layout, Bytes image) {
  auto scenario = of_device(layout, std::move(image), [layout](Device device) {
    return VariableStore::format(*device, layout);
  });
  scenario.formats = true;
  return scenario;
}

/// The repair of `image`, which `damage` is done to.
Scenario of_repair(const store::Layout& layout, Bytes image,
                   const std::function<void(Bytes&)>& damage) {
  std::vector<store::Variable> before;
  {
    Image on(image);
    before = contents_of(on.open());
  }
  damage(image);
  auto scenario = of_device(layout, std::move(image), [](Device device) -> Status {
    const auto report = store::repair(*device, {});
    if (!report) return forward(Result<store::RepairReport>(report));
    return {};
  });
  scenario.repaired = std::move(before);
  return scenario;
}

constexpr std::size_t headers_size = 0x64;

/// Neither the volume's header nor the store's is there.
Scenario repair_headers(const store::Layout& layout) {
  return of_repair(layout, filled(layout), [](Bytes& image) {
    std::ranges::fill(std::span(image).first(headers_size), std::byte{0});
  });
}

/// The first record, a live one, has lost its StartId, a dead one all of its header; most live ones
/// are behind.
Scenario repair_break(const store::Layout& layout) {
  return of_repair(layout, filled(layout), [&layout](Bytes& image) {
    const auto area = std::span(image).first(layout.variables.size);
    const auto records = store::scan_records(area, headers_size, layout.format).records;
    area[records.at(0).offset] = std::byte{0};
    std::ranges::fill(area.subspan(records.at(2).offset, store::record_header_size(layout.format)),
                      std::byte{0x5a});
  });
}

/// A compaction was cut when the first block was erased, and then the working header was lost.
Scenario repair_cut_copy(const store::Layout& layout) {
  return of_repair(layout, with_pending_copy(layout), [&layout](Bytes& image) {
    std::ranges::fill(std::span(image).subspan(layout.ftw_working.offset, 32), std::byte{0});
  });
}

/// A live record is gone from the store, and another from what stands in the spare, which is older.
Scenario repair_from_spare(const store::Layout& layout) {
  return of_repair(layout, with_used_spare(layout), [&layout](Bytes& image) {
    const auto area = std::span(image).first(layout.variables.size);
    const auto spare = std::span(image).subspan(layout.ftw_spare.offset, layout.variables.size);
    const auto records = store::scan_records(area, headers_size, layout.format).records;
    for (const auto& [where, record] :
         {std::pair(area, records.at(3)), std::pair(spare, records.at(5))}) {
      std::ranges::fill(where.subspan(record.offset, record.size), std::byte{0});
    }
  });
}

/// What SetVariable is asked, kept whole.
struct Request {
  std::u16string name;
  Guid guid;
  std::uint32_t attributes;
  std::string data;
};

/// One SetVariable.
Scenario of_request(const store::Layout& layout, Bytes image, Request request) {
  return of_device(layout, std::move(image), [request](Device device) -> Status {
    auto opened = VariableStore::open(std::move(device));
    if (!opened) return forward(std::move(opened));
    auto services = variable::Services::create(std::move(*opened));
    if (!services) return forward(std::move(services));
    const auto done =
        services->set({request.name, request.guid, request.attributes, as_bytes(request.data)});
    if (!done) return fail(Errc::io, "SetVariable failed: " + done.error().reason);
    return {};
  });
}

Scenario append(const store::Layout& layout) {
  const Bytes more = filling(70, 8);
  return of_request(layout, filled(layout),
                    {u"Changed", own, nv_bs_rt | attributes::append_write,
                     std::string(reinterpret_cast<const char*>(more.data()), more.size())});
}

constexpr std::uint32_t signed_attributes =
    nv_bs_rt | attributes::time_based_authenticated_write_access;

/// A private variable: whoever signs it first is noted in another one.
Request private_request(std::uint8_t second, std::string_view payload) {
  const std::u16string name = u"Private";
  return {name, own, signed_attributes,
          signed_by(signer("owner"), {name, own, signed_attributes, at_second(second), payload})};
}

Scenario private_create(const store::Layout& layout) {
  return of_request(layout, filled(layout), private_request(1, "created"));
}

/// filled(), and the variable that private_create() makes.
Bytes with_private(const store::Layout& layout) {
  const Scenario creation = private_create(layout);
  Image on(creation.image);
  must(creation.change(on.device()));
  return std::move(on.medium.content);
}

Scenario private_update(const store::Layout& layout) {
  return of_request(layout, with_private(layout), private_request(2, "updated, and longer"));
}

Scenario private_delete(const store::Layout& layout) {
  return of_request(layout, with_private(layout), private_request(2, ""));
}

/// With it comes SecureBootEnable.
Scenario platform_key(const store::Layout& layout) {
  return of_request(layout, filled(layout),
                    {u"PK", guids::global_variable, signed_attributes,
                     not_signed(at_second(1), key_list(signer("PK")))});
}

/// A platform key and a database of forbidden hashes, to which another is appended.
Scenario database_append(const store::Layout& layout) {
  const Request forbidden{u"dbx", guids::image_security_database, signed_attributes,
                          not_signed(at_second(1), hash_list(1))};
  const Scenario first = of_request(layout, filled(layout), forbidden);
  Image on(first.image);
  must(first.change(on.device()));
  must(platform_key(layout).change(on.device()));
  const std::uint32_t appending = signed_attributes | attributes::append_write;
  const std::string more = hash_list(2);
  return of_request(layout, std::move(on.medium.content),
                    {u"dbx", guids::image_security_database, appending,
                     signed_by(signer("PK"), {u"dbx", guids::image_security_database, appending,
                                              at_second(2), more})});
}

/// Two variables change, one comes and one goes, at once.
Status adopt(VariableStore& opened) {
  auto staged = opened.staged();
  if (auto done = staged.put(content(u"Changed", filling(60, 16))); !done) return done;
  if (auto done = staged.put(content(u"Last", filling(90, 17), other)); !done) return done;
  if (auto done = staged.put(content(u"New", filling(30, 18))); !done) return done;
  if (auto done = staged.remove(*staged.find(u"Kept", own)); !done) return done;
  return opened.adopt(staged);
}

/// The data of a variable may be a piece of a store.
Scenario create_copy(const store::Layout& layout) {
  Bytes image = filled(layout);
  const Bytes piece(image.begin() + 0x64, image.begin() + 0x64 + 400);
  return of_store(layout, std::move(image),
                  [piece](VariableStore& s) { return s.put(content(u"Copy", piece)); });
}

/// Two bits of one byte: a cut may leave one of them cleared.
Scenario clear_bits(const store::Layout& layout) {
  auto scenario =
      of_store(layout,
               changed(filled(layout),
                       [](VariableStore& s) { return s.put(content(u"Flag", {std::byte{0xff}})); }),
               [](VariableStore& s) {
                 return s.clear_data_bits(*s.find(u"Flag", own), 0, std::byte{0xee});
               });
  Image on(scenario.image);
  for (const unsigned mask : {0xefU, 0xfeU}) {
    scenario.between.push_back(contents_of(on.open()));
    for (store::Variable& v : scenario.between.back()) {
      if (v.name == u"Flag") v.data[0] &= static_cast<std::byte>(mask);
    }
  }
  return scenario;
}

Status replace_all(VariableStore& opened) {
  const std::vector<store::Variable> imported = {
      {.name = u"Changed", .guid = own, .attributes = 3, .data = filling(250, 13)},
      {.name = u"Imported", .guid = other, .attributes = 7, .data = filling(500, 14)}};
  return opened.replace_all(imported);
}

/// A name and data that, put behind a record header whose state was never written, read as a live
/// record: of a name that nobody has created.
struct Treacherous {
  std::u16string name = u"\u55aa\u003f\u0007";  // StartId, `added`, and attributes 7
  Bytes data;
};

Treacherous treacherous(store::RecordFormat format) {
  const auto forged =
      store::encode_record(format, content(u"Forged", filling(40, 9)), store::RecordState::added);
  return {.data = {forged.begin() + 8, forged.end()}};
}

}  // namespace

std::vector<store::Variable> contents_of(const VariableStore& opened) {
  std::vector<store::Variable> variables;
  for (const auto* r = opened.first(); r != nullptr; r = opened.next(*r)) {
    variables.push_back(r->to_variable());
  }
  std::ranges::sort(variables, [](const store::Variable& a, const store::Variable& b) {
    return std::tie(a.name, a.guid.bytes) < std::tie(b.name, b.guid.bytes);
  });
  return variables;
}

const std::vector<ScenarioKind>& scenario_kinds() {
  static const StoreChange reclaim = [](VariableStore& s) { return s.reclaim(); };
  static const StoreChange nothing = [](VariableStore&) { return Status{}; };
  static const std::vector<ScenarioKind> kinds = {
      {"create",
       [](const auto& layout) {
         return of_store(layout, filled(layout),
                         [](VariableStore& s) { return s.put(content(u"New", filling(300, 10))); });
       }},
      {"create_treacherous",
       [](const auto& layout) {
         return of_store(layout, filled(layout), [layout](VariableStore& s) {
           const Treacherous record = treacherous(layout.format);
           return s.put(content(record.name, record.data));
         });
       }},
      {"create_copy", create_copy},
      {"update",
       [](const auto& layout) {
         return of_store(layout, filled(layout), [](VariableStore& s) {
           return s.put(content(u"Changed", filling(200, 11)));
         });
       }},
      {"append", append},
      {"delete",
       [](const auto& layout) {
         return of_store(layout, filled(layout),
                         [](VariableStore& s) { return s.remove(*s.find(u"Changed", own)); });
       }},
      {"clear_bits", clear_bits},
      {"reclaim", [](const auto& layout) { return of_store(layout, filled(layout), reclaim); }},
      {"reclaim_used_spare",
       [](const auto& layout) { return of_store(layout, with_used_spare(layout), reclaim); }},
      {"reclaim_full_queue",
       [](const auto& layout) { return of_store(layout, with_full_queue(layout), reclaim); }},
      {"reclaim_with",
       [](const auto& layout) {
         return of_store(layout, filled(layout), [](VariableStore& s) {
           return s.reclaim_with(content(u"Changed", filling(333, 12)));
         });
       }},
      {"replace_all",
       [](const auto& layout) { return of_store(layout, filled(layout), replace_all); }},
      {"adopt", [](const auto& layout) { return of_store(layout, filled(layout), adopt); }},
      {"private_create", private_create, true},
      {"private_update", private_update, true},
      {"private_delete", private_delete, true},
      {"platform_key", platform_key, true},
      {"database_append", database_append, true},
      {"open_residue",
       [](const auto& layout) { return of_store(layout, with_residue(layout), nothing); }},
      {"open_pending_copy",
       [](const auto& layout) { return of_store(layout, with_pending_copy(layout), nothing); }},
      {"format_blank",
       [](const auto& layout) {
         return of_format(layout, Bytes(layout.volume_size_bytes, std::byte{0xff}));
       }},
      {"format_over", [](const auto& layout) { return of_format(layout, filled(layout)); }},
      {"format_over_used_spare",
       [](const auto& layout) { return of_format(layout, with_used_spare(layout)); }},
      {"format_over_pending_copy",
       [](const auto& layout) { return of_format(layout, with_pending_copy(layout)); }},
      {"repair_headers", repair_headers},
      {"repair_break", repair_break},
      {"repair_cut_copy", repair_cut_copy},
      {"repair_from_spare", repair_from_spare},
  };
  return kinds;
}

}  // namespace efistore::test
