// SPDX-License-Identifier: BSD-2-Clause-Patent
#include "mounted_session.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <optional>
#include <utility>

#include "efistore/base/unique_fd.hpp"

#include "loop_signals.hpp"

namespace efistore::shim {

namespace {

/// libfuse and fusermount3 explain a failure on standard error. This catches what they say, so that
/// it becomes part of one message.
class CapturedStandardError {
 public:
  CapturedStandardError() : capture_(::memfd_create("stderr", MFD_CLOEXEC)) {
    if (!capture_) return;
    saved_ = UniqueFd(::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0));
    if (saved_) ::dup2(capture_.get(), STDERR_FILENO);
  }
  ~CapturedStandardError() { restore(); }
  CapturedStandardError(const CapturedStandardError&) = delete;
  CapturedStandardError& operator=(const CapturedStandardError&) = delete;

  /// What was said, line ends turned into "; ". Ends the capture.
  std::string finish() {
    restore();
    if (!capture_) return {};
    std::array<char, 512> bytes;
    const ssize_t count = ::pread(capture_.get(), bytes.data(), bytes.size(), 0);
    std::string text(bytes.data(), count > 0 ? static_cast<std::size_t>(count) : 0);
    while (!text.empty() && text.back() == '\n') text.pop_back();
    for (std::size_t at = text.find('\n'); at != std::string::npos; at = text.find('\n', at)) {
      text.replace(at, 1, "; ");
    }
    return text;
  }

 private:
  void restore() {
    if (!saved_) return;
    ::dup2(saved_.get(), STDERR_FILENO);
    saved_.reset();
  }

  UniqueFd capture_;
  UniqueFd saved_;
};

/// How long a daemon that is away is not looked for.
constexpr std::chrono::milliseconds watch_retry{500};
constexpr std::chrono::milliseconds watch_wait{60'000};

/// Waits for a request, and takes over what others change meanwhile.
void wait_for_others(FuseContext& context, LoopSignals& signals) {
  runtime::ChangeWatch* const watch = context.files.watch();
  const PolledFd told = watch != nullptr ? PolledFd{watch->fd(), watch->events()} : PolledFd{};
  const bool missed = watch != nullptr && context.files.may_have_missed_changes();
  if (!missed && !signals.wait(watch != nullptr ? watch_wait : watch_retry, told)) return;
  context.files.follow_others();
  drop_changed_attributes(context);
}

}  // namespace

Result<MountedSession> MountedSession::mount(FileSystem& files, const Parameters& parameters) {
  std::vector<std::string> words{"efivarfs-shim"};
  if (parameters.debug) words.emplace_back("-d");
  for (const std::string& option : parameters.mount_options) {
    words.emplace_back("-o");
    words.push_back(option);
  }
  std::vector<char*> pointers;
  pointers.reserve(words.size());
  for (std::string& word : words) pointers.push_back(word.data());
  fuse_args arguments = FUSE_ARGS_INIT(static_cast<int>(pointers.size()), pointers.data());

  // With -d libfuse's words are what the caller wants to see.
  std::optional<CapturedStandardError> capture;
  if (!parameters.debug) capture.emplace();
  const auto explanation = [&capture] { return capture ? capture->finish() : std::string(); };

  MountedSession mounted;
  mounted.context_ = std::make_unique<FuseContext>(FuseContext{files});
  const fuse_lowlevel_ops operations = make_fuse_operations();
  mounted.session_.reset(
      fuse_session_new(&arguments, &operations, sizeof(operations), mounted.context_.get()));
  fuse_opt_free_args(&arguments);
  if (!mounted.session_) return fail(Errc::invalid_argument, explanation());
  mounted.context_->session = mounted.session_.get();
  if (fuse_session_mount(mounted.session_.get(), parameters.mount_point.c_str()) != 0) {
    return fail(Errc::permission,
                fmt::format("cannot mount on {}: {}", parameters.mount_point, explanation()));
  }
  mounted.mount_.reset(mounted.session_.get());
  return mounted;
}

Status MountedSession::serve(std::chrono::seconds idle, bool follow_others) {
  auto served = serve_requests(idle, follow_others);
  carry_out_all_writes(*context_);
  return served;
}

Status MountedSession::serve_requests(std::chrono::seconds idle, bool follow_others) {
  fuse_session* session = session_.get();
  struct BufferMemory {
    fuse_buf buffer{};
    ~BufferMemory() { std::free(buffer.mem); }  // libfuse allocates it with malloc
  } request;
  // Not fuse_set_signal_handlers(): a signal just before the read is lost there, and one just after
  // it drops the request that was read.
  LoopSignals signals(fuse_session_fd(session), idle);
  bool asked = false;
  while (fuse_session_exited(session) == 0 && !signals.end_arrived()) {
    // From one tick to the next without a request is as long as was asked for, or longer.
    if (signals.take_tick() && !std::exchange(asked, false)) context_->files.on_idle();
    // The poll in the wait is an expense of those who have a budget, and only while it makes them
    // wait.
    if (const auto next_due = carry_out_due_write(*context_)) {
      if (next_due->count() == 0) asked = true;
      signals.wait(*next_due);
    }
    if (follow_others) wait_for_others(*context_, signals);
    const int received = fuse_session_receive_buf(session, &request.buffer);
    if (received == -EINTR || received == -EAGAIN) continue;
    if (received < 0) return fail_errno(-received, "read a request from the kernel");
    // 0: unmounted, and the session knows.
    if (received > 0) fuse_session_process_buf(session, &request.buffer);
    asked = true;
  }
  return {};
}

}  // namespace efistore::shim
