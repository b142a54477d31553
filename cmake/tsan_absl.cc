// ThreadSanitizer and Abseil's locks. The distribution's Abseil is not instrumented, so the sanitizer does
// not see that its Mutex orders anything and reports every guarded field. Linked into every program of a
// ThreadSanitizer build, these definitions come before the shared library's: each calls the library's and
// tells the sanitizer what it ordered. Nothing is hidden: a field that is touched without its lock is still
// reported.
#include <dlfcn.h>

#include <cstdlib>
#include <string>

#include "absl/base/options.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"

extern "C" {
void __tsan_acquire(void* address);
void __tsan_release(void* address);
void AnnotateIgnoreReadsBegin(const char* file, int line);
void AnnotateIgnoreReadsEnd(const char* file, int line);
}

namespace {

#define PARLEY_TEXT_OF(x) #x
#define PARLEY_TEXT(x) PARLEY_TEXT_OF(x)

std::string NamespacePrefix(const char* start) {
#if ABSL_OPTION_USE_INLINE_NAMESPACE
  const std::string name = PARLEY_TEXT(ABSL_OPTION_INLINE_NAMESPACE_NAME);
  return start + std::string("4absl") + std::to_string(name.size()) + name;
#else
  return start + std::string("4absl");
#endif
}

// The library's own function; `suffix` is the mangled name after the namespace.
template <typename Function>
Function Real(const char* start, const char* suffix) {
  void* address = dlsym(RTLD_NEXT, (NamespacePrefix(start) + suffix).c_str());
  if (address == nullptr) std::abort();  // another Abseil: the names above must follow it
  return reinterpret_cast<Function>(address);
}

// Abseil's own deadlock detector keeps one graph of all locks behind a spin lock that the sanitizer does not
// see either; its copies within that graph would be reported.
[[maybe_unused]] const bool graph_off = [] {
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  return true;
}();

}  // namespace

#define PARLEY_REAL(Type, start, suffix) static const auto real = Real<Type>(start, suffix)

namespace absl {
ABSL_NAMESPACE_BEGIN

void Mutex::Lock() {
  PARLEY_REAL(void (*)(Mutex*), "_ZN", "5Mutex4LockEv");
  real(this);
  __tsan_acquire(this);
}

void Mutex::Unlock() {
  PARLEY_REAL(void (*)(Mutex*), "_ZN", "5Mutex6UnlockEv");
  __tsan_release(this);
  real(this);
}

bool Mutex::TryLock() {
  PARLEY_REAL(bool (*)(Mutex*), "_ZN", "5Mutex7TryLockEv");
  const bool locked = real(this);
  if (locked) __tsan_acquire(this);
  return locked;
}

void Mutex::ReaderLock() {
  PARLEY_REAL(void (*)(Mutex*), "_ZN", "5Mutex10ReaderLockEv");
  real(this);
  __tsan_acquire(this);
}

void Mutex::ReaderUnlock() {
  PARLEY_REAL(void (*)(Mutex*), "_ZN", "5Mutex12ReaderUnlockEv");
  __tsan_release(this);
  real(this);
}

bool Mutex::ReaderTryLock() {
  PARLEY_REAL(bool (*)(Mutex*), "_ZN", "5Mutex13ReaderTryLockEv");
  const bool locked = real(this);
  if (locked) __tsan_acquire(this);
  return locked;
}

void Mutex::LockWhen(const Condition& condition) {
  PARLEY_REAL(void (*)(Mutex*, const Condition&), "_ZN", "5Mutex8LockWhenERKNS0_9ConditionE");
  real(this, condition);
  __tsan_acquire(this);
}

void Mutex::ReaderLockWhen(const Condition& condition) {
  PARLEY_REAL(void (*)(Mutex*, const Condition&), "_ZN", "5Mutex14ReaderLockWhenERKNS0_9ConditionE");
  real(this, condition);
  __tsan_acquire(this);
}

bool Mutex::LockWhenWithTimeout(const Condition& condition, Duration timeout) {
  PARLEY_REAL(bool (*)(Mutex*, const Condition&, Duration), "_ZN",
              "5Mutex19LockWhenWithTimeoutERKNS0_9ConditionENS0_8DurationE");
  const bool held = real(this, condition, timeout);
  __tsan_acquire(this);
  return held;
}

bool Mutex::LockWhenWithDeadline(const Condition& condition, Time deadline) {
  PARLEY_REAL(bool (*)(Mutex*, const Condition&, Time), "_ZN",
              "5Mutex20LockWhenWithDeadlineERKNS0_9ConditionENS0_4TimeE");
  const bool held = real(this, condition, deadline);
  __tsan_acquire(this);
  return held;
}

void Mutex::Await(const Condition& condition) {
  PARLEY_REAL(void (*)(Mutex*, const Condition&), "_ZN", "5Mutex5AwaitERKNS0_9ConditionE");
  __tsan_release(this);
  real(this, condition);
  __tsan_acquire(this);
}

bool Mutex::AwaitWithTimeout(const Condition& condition, Duration timeout) {
  PARLEY_REAL(bool (*)(Mutex*, const Condition&, Duration), "_ZN",
              "5Mutex16AwaitWithTimeoutERKNS0_9ConditionENS0_8DurationE");
  __tsan_release(this);
  const bool held = real(this, condition, timeout);
  __tsan_acquire(this);
  return held;
}

bool Mutex::AwaitWithDeadline(const Condition& condition, Time deadline) {
  PARLEY_REAL(bool (*)(Mutex*, const Condition&, Time), "_ZN",
              "5Mutex17AwaitWithDeadlineERKNS0_9ConditionENS0_4TimeE");
  __tsan_release(this);
  const bool held = real(this, condition, deadline);
  __tsan_acquire(this);
  return held;
}

// The thread that unlocks evaluates the conditions of those that wait, after the sanitizer was told of the
// release but before the lock is given on: what it reads there is guarded all the same.
bool Condition::Eval() const {
  PARLEY_REAL(bool (*)(const Condition*), "_ZNK", "9Condition4EvalEv");
  AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
  const bool value = real(this);
  AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
  return value;
}

void CondVar::Wait(Mutex* mutex) {
  PARLEY_REAL(void (*)(CondVar*, Mutex*), "_ZN", "7CondVar4WaitEPNS0_5MutexE");
  __tsan_release(mutex);
  real(this, mutex);
  __tsan_acquire(mutex);
}

bool CondVar::WaitWithTimeout(Mutex* mutex, Duration timeout) {
  PARLEY_REAL(bool (*)(CondVar*, Mutex*, Duration), "_ZN",
              "7CondVar15WaitWithTimeoutEPNS0_5MutexENS0_8DurationE");
  __tsan_release(mutex);
  const bool timed_out = real(this, mutex, timeout);
  __tsan_acquire(mutex);
  return timed_out;
}

bool CondVar::WaitWithDeadline(Mutex* mutex, Time deadline) {
  PARLEY_REAL(bool (*)(CondVar*, Mutex*, Time), "_ZN", "7CondVar16WaitWithDeadlineEPNS0_5MutexENS0_4TimeE");
  __tsan_release(mutex);
  const bool timed_out = real(this, mutex, deadline);
  __tsan_acquire(mutex);
  return timed_out;
}

namespace {
// HasBeenNotified is inline and reads the flag behind the mutex: the release is put there too.
void* Flag(const Notification* notification) {
  return const_cast<char*>(reinterpret_cast<const char*>(notification)) + sizeof(Mutex);
}
}  // namespace

void Notification::Notify() {
  PARLEY_REAL(void (*)(Notification*), "_ZN", "12Notification6NotifyEv");
  __tsan_release(Flag(this));
  real(this);
}

void Notification::WaitForNotification() const {
  PARLEY_REAL(void (*)(const Notification*), "_ZNK", "12Notification19WaitForNotificationEv");
  real(this);
  __tsan_acquire(Flag(this));
}

bool Notification::WaitForNotificationWithTimeout(Duration timeout) const {
  PARLEY_REAL(bool (*)(const Notification*, Duration), "_ZNK",
              "12Notification30WaitForNotificationWithTimeoutENS0_8DurationE");
  const bool notified = real(this, timeout);
  if (notified) __tsan_acquire(Flag(this));
  return notified;
}

bool Notification::WaitForNotificationWithDeadline(Time deadline) const {
  PARLEY_REAL(bool (*)(const Notification*, Time), "_ZNK",
              "12Notification31WaitForNotificationWithDeadlineENS0_4TimeE");
  const bool notified = real(this, deadline);
  if (notified) __tsan_acquire(Flag(this));
  return notified;
}

ABSL_NAMESPACE_END
}  // namespace absl
