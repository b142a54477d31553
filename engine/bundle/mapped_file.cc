#include "engine/bundle/mapped_file.h"

#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <utility>

#include "absl/base/attributes.h"
#include "absl/base/const_init.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "base/read_file.h"

namespace parley::engine::bundle {
namespace {

absl::Status SystemError(const std::string& path) { return absl::ErrnoToStatus(errno, path); }

// What is mapped now, for the signal handler, which takes no lock. `begin` is set last and cleared first.
struct Mapping {
  std::atomic<uintptr_t> begin{0};
  std::atomic<uintptr_t> end{0};
  std::atomic<const char*> path{nullptr};
};
constexpr size_t kMappings = 1'024;  // files over that end as without a handler
ABSL_CONST_INIT std::array<Mapping, kMappings> g_mappings;
ABSL_CONST_INIT absl::Mutex g_mappings_mutex(absl::kConstInit);  // of those who write
struct sigaction g_action_before;

// Only what may be called in a signal handler.
void PrintLost(const char* path) {
  const auto print = [](const char* text) {
    // A pipe that nobody reads does not keep the process.
    pollfd ready = {.fd = STDERR_FILENO, .events = POLLOUT, .revents = 0};
    if (poll(&ready, 1, 0) == 1) (void)!write(STDERR_FILENO, text, std::strlen(text));
  };
  print("the file ");
  print(path);
  print(
      " was cut short or could not be read while it was in use: replace a model by rename, never in place\n");
}

void OnBusError(int, siginfo_t* info, void*) {
  const auto address = reinterpret_cast<uintptr_t>(info->si_addr);
  for (const Mapping& mapping : g_mappings) {
    const uintptr_t begin = mapping.begin.load(std::memory_order_acquire);
    if (info->si_code <= 0 || begin == 0 || address < begin || address >= mapping.end) continue;
    PrintLost(mapping.path);
    _exit(kMappedFileLostExitCode);
  }
  // Comes again when the instruction is tried again, or is sent again.
  sigaction(SIGBUS, &g_action_before, nullptr);
  if (info->si_code <= 0) raise(SIGBUS);
}

}  // namespace

void EndWhereAMappedFileIsLost() {
  struct sigaction action = {};
  action.sa_sigaction = OnBusError;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigemptyset(&action.sa_mask);
  sigaction(SIGBUS, &action, &g_action_before);
}

absl::StatusOr<std::shared_ptr<const MappedFile>> MappedFile::Open(const std::string& path) {
  const absl::StatusOr<OpenFile> file = OpenFile::Regular(path);
  if (!file.ok()) return file.status();
  const auto size = static_cast<size_t>(file->bytes());
  if (size == 0) return absl::DataLossError(absl::StrCat(path, ": the file is empty"));
  void* address = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file->descriptor(), 0);
  if (address == MAP_FAILED) return SystemError(path);
  std::shared_ptr<const MappedFile> mapped(
      new MappedFile(path, absl::MakeConstSpan(static_cast<const std::byte*>(address), size)));
  struct stat facts;
  if (fstat(file->descriptor(), &facts) != 0) return SystemError(path);
  if (static_cast<size_t>(facts.st_size) != size) {
    return absl::DataLossError(absl::StrCat(path, ": the file changes while it is opened"));
  }
  return mapped;
}

MappedFile::MappedFile(std::string path, absl::Span<const std::byte> bytes)
    : path_(std::move(path)), bytes_(bytes) {
  absl::MutexLock lock(&g_mappings_mutex);
  for (Mapping& mapping : g_mappings) {
    if (mapping.begin != 0) continue;
    const auto begin = reinterpret_cast<uintptr_t>(bytes_.data());
    mapping.path = path_.c_str();
    // The last page is whole.
    mapping.end = begin + (bytes_.size() + 0xfff) / 0x1000 * 0x1000;
    mapping.begin.store(begin, std::memory_order_release);
    return;
  }
}

MappedFile::~MappedFile() {
  {
    absl::MutexLock lock(&g_mappings_mutex);
    const auto begin = reinterpret_cast<uintptr_t>(bytes_.data());
    const auto mapping = std::find_if(g_mappings.begin(), g_mappings.end(),
                                      [begin](const Mapping& one) { return one.begin == begin; });
    if (mapping != g_mappings.end()) mapping->begin = 0;
  }
  munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

absl::StatusOr<std::string> ReadTextFile(const std::string& path, size_t limit_bytes) {
  absl::StatusOr<std::string> text = ReadRegularFile(path, limit_bytes);
  if (text.ok() && text->empty()) return absl::DataLossError(absl::StrCat(path, ": the file is empty"));
  return text;
}

}  // namespace parley::engine::bundle
