// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Time of the variable services, beside two references over the same variables: a walk over the raw
// records, and a hash map that keeps nothing but names and data. Benchmarks are called
// operation/subject/workload; tests/bench/run.py makes the table of them.
#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <unordered_map>

#include "record_log.hpp"
#include "workload.hpp"

namespace efistore::bench {

namespace {

using Data = std::span<const std::byte>;
/// What a caller of GetVariable hands over for the data.
using Buffer = std::array<std::byte, 2048>;

bool copy_out(Data data, Buffer& buffer) {
  std::memcpy(buffer.data(), data.data(), std::min(data.size(), buffer.size()));
  return true;
}

class Efistore {
 public:
  static constexpr const char* name = "efistore";
  explicit Efistore(const Workload& workload)
      : services_(open_services(make_device(image_of(workload)))) {}

  bool get(const Key& key, Buffer& buffer) const {
    const auto view = services_.get(key.name, key.guid);
    return view && copy_out(view->data, buffer);
  }
  std::size_t enumerate() const {
    std::size_t count = 0;
    for (auto at = services_.get_next({}, {}); at; at = services_.get_next(at->name, at->guid)) {
      ++count;
    }
    return count;
  }
  std::size_t free() const { return services_.store().usage().free(); }
  void set(const Key& key, Data data) { must_set(services_, key, data); }
  void reclaim() {
    if (auto done = services_.reclaim(); !done) give_up(done.error().reason);
  }

 private:
  variable::Services services_;
};

class LinearScan {
 public:
  static constexpr const char* name = "linear_scan";
  explicit LinearScan(const Workload& workload) : log_(image_of(workload)) {}

  bool get(const Key& key, Buffer& buffer) const {
    const auto data = log_.find(key.name, key.guid);
    return data && copy_out(*data, buffer);
  }
  std::size_t enumerate() const {
    std::size_t count = 0;
    for (auto at = log_.first(); !at.end; at = log_.next(at.name, at.guid)) ++count;
    return count;
  }
  std::size_t free() const { return log_.free(); }
  void set(const Key& key, Data data) { log_.update(key.name, key.guid, data); }
  void reclaim() { log_.reclaim(); }

 private:
  RecordLog log_;
};

/// Has no log, so dead records and reclaims mean nothing to it.
class HashMap {
 public:
  static constexpr const char* name = "unordered_map";
  explicit HashMap(const Workload& workload) {
    const Efistore filled(workload);
    Buffer buffer{};
    for (const Key& key : make_keys(workload.variable_count)) {
      filled.get(key, buffer);
      data_.emplace(key, std::vector<std::byte>(buffer.begin(), buffer.begin() + 64));
    }
  }

  bool get(const Key& key, Buffer& buffer) const {
    const auto found = data_.find(key);
    return found != data_.end() && copy_out(found->second, buffer);
  }
  std::size_t enumerate() const {
    std::size_t count = 0;
    for (auto at = data_.begin(); at != data_.end();) {
      ++count;
      at = std::next(data_.find(at->first));
    }
    return count;
  }
  std::size_t free() const { return SIZE_MAX; }
  void set(const Key& key, Data data) { data_.find(key)->second.assign(data.begin(), data.end()); }

 private:
  struct Hash {
    std::size_t operator()(const Key& key) const noexcept {
      const auto* guid = reinterpret_cast<const char*>(key.guid.bytes.data());
      return std::hash<std::u16string>{}(key.name) ^
             std::hash<std::string_view>{}(std::string_view(guid, key.guid.bytes.size()));
    }
  };
  struct Equal {
    bool operator()(const Key& a, const Key& b) const noexcept {
      return a.guid == b.guid && a.name == b.name;
    }
  };
  std::unordered_map<Key, std::vector<std::byte>, Hash, Equal> data_;
};

/// The processor time of this thread, which a busy machine stretches less than the time of day.
class Stopwatch {
 public:
  double elapsed_s() const { return now_s() - begin_s_; }

 private:
  static double now_s() {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
  }
  double begin_s_ = now_s();
};

/// A power of two, so that going round costs nothing beside a Get of a few nanoseconds.
constexpr std::size_t order_size = 4096;

template <typename Subject>
void get(benchmark::State& state, const Workload& workload, bool hit) {
  const Subject subject(workload);
  const auto keys =
      hit ? make_keys(workload.variable_count) : make_absent_keys(workload.variable_count);
  const auto order = make_order(order_size, keys.size());
  Buffer buffer{};
  std::size_t turn = 0;
  for (auto _ : state) {
    const bool found = subject.get(keys[order[turn++ % order_size]], buffer);
    if (found != hit) give_up("a Get found what is not there, or not what is");
    benchmark::DoNotOptimize(buffer);
  }
}

template <typename Subject>
void enumerate(benchmark::State& state, const Workload& workload) {
  const Subject subject(workload);
  for (auto _ : state) {
    if (subject.enumerate() != workload.variable_count) give_up("an enumeration is incomplete");
  }
}

/// Updates that fit without a reclaim; the time is one update's.
template <typename Subject>
void set(benchmark::State& state, const Workload& workload) {
  constexpr std::size_t longest_batch = 200;
  // Header, name with NUL, and data, padded.
  const std::size_t record_size = 60 + 26 + 2 + workload.data_size_bytes;
  const auto keys = make_keys(updated_count(workload));
  const auto order = make_order(order_size, keys.size());
  std::vector<std::byte> buffer(workload.data_size_bytes, std::byte{0xa5});
  std::uint64_t serial = std::uint64_t{1} << 32;
  for (auto _ : state) {
    Subject subject(workload);
    const std::size_t batch = std::min(subject.free() / record_size, longest_batch);
    const Stopwatch stopwatch;
    for (std::size_t i = 0; i < batch; ++i) {
      subject.set(keys[order[i]], make_data(buffer, serial++));
    }
    state.SetIterationTime(stopwatch.elapsed_s() / static_cast<double>(batch));
  }
}

/// Updates for ever, with the reclaims that they lead to.
template <typename Subject>
void set_amortised(benchmark::State& state, const Workload& workload) {
  Subject subject(workload);
  const auto keys = make_keys(updated_count(workload));
  const auto order = make_order(order_size, keys.size());
  std::vector<std::byte> buffer(workload.data_size_bytes, std::byte{0xa5});
  std::uint64_t serial = std::uint64_t{1} << 32;
  std::size_t turn = 0;
  for (auto _ : state) {
    subject.set(keys[order[turn++ % order_size]], make_data(buffer, serial++));
  }
}

template <typename Subject>
void reclaim(benchmark::State& state, const Workload& workload) {
  for (auto _ : state) {
    Subject subject(workload);
    const Stopwatch stopwatch;
    subject.reclaim();
    state.SetIterationTime(stopwatch.elapsed_s());
  }
}

template <typename Function>
benchmark::internal::Benchmark* add(const char* operation, const char* subject,
                                    const Workload& workload, Function function) {
  const std::string name = fmt::format("{}/{}/{}", operation, subject, label_of(workload));
  return benchmark::RegisterBenchmark(
      name.c_str(), [workload, function](benchmark::State& state) { function(state, workload); });
}

/// Each iteration of these opens a store of its own, which takes longer than what is measured.
constexpr benchmark::IterationCount iterations_with_fresh_store = 20;

template <typename Subject>
void add_reads(const Workload& workload) {
  const auto get_hit = [](benchmark::State& s, const Workload& w) { get<Subject>(s, w, true); };
  const auto get_miss = [](benchmark::State& s, const Workload& w) { get<Subject>(s, w, false); };
  add("get_hit", Subject::name, workload, get_hit);
  add("get_miss", Subject::name, workload, get_miss);
  add("enumerate", Subject::name, workload, enumerate<Subject>);
}

template <typename Subject>
void add_sets(const Workload& workload) {
  const std::size_t size = workload.data_size_bytes;
  add(fmt::format("set_{}", size).c_str(), Subject::name, workload, set<Subject>)
      ->UseManualTime()
      ->Iterations(iterations_with_fresh_store);
  if (workload.full_of_dead_records) return;
  add(fmt::format("set_{}_amortised", size).c_str(), Subject::name, workload,
      set_amortised<Subject>);
}

template <typename Subject>
void add_reclaim(const Workload& workload) {
  add("reclaim", Subject::name, workload, reclaim<Subject>)
      ->UseManualTime()
      ->Iterations(iterations_with_fresh_store);
}

void add_all() {
  for (const Workload& workload : all_workloads(64)) {
    add_reads<Efistore>(workload);
    add_reads<LinearScan>(workload);
    add_reads<HashMap>(workload);
    if (workload.full_of_dead_records) {
      add_reclaim<Efistore>(workload);
      add_reclaim<LinearScan>(workload);
    }
  }
  for (const std::size_t size : {64U, 1024U}) {
    for (const Workload& workload : all_workloads(size)) {
      add_sets<Efistore>(workload);
      add_sets<LinearScan>(workload);
      if (!workload.full_of_dead_records) add_sets<HashMap>(workload);
    }
  }
}

}  // namespace

}  // namespace efistore::bench

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  return efistore::bench::run_guarded([] {
    efistore::bench::add_all();
    benchmark::RunSpecifiedBenchmarks();
    return 0;
  });
}
