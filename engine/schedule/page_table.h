// Pages of a KV cache as numbers: who holds which, without their memory. One PagePool a device; a PageTable
// for each sequence, in order of position. Whoever has the memory (engine/cpu) finds it by page number.
//
// The method is that of PagedAttention (arXiv:2309.06180): pages are reference counted, a fork shares them
// all, and a shared page is copied by the first who writes into it. Beyond it, a range of tokens that fills
// pages of its own can be forgotten from the middle: what came later keeps its position.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"

namespace parley::engine::schedule {

// Tokens that a page has room for.
inline constexpr int kPageTokens = 16;

// Pages that `tokens` take when they begin a page.
constexpr int64_t PagesOf(int64_t tokens) { return (tokens + kPageTokens - 1) / kPageTokens; }

struct PageStats {
  int64_t total = 0;   // what the pool may hold; 0: pages are not counted here
  int64_t in_use = 0;  // held by somebody
  int64_t shared = 0;  // of which by more than one
};

// Thread-safe. Outlives its tables.
class PagePool {
 public:
  explicit PagePool(int64_t total) : total_(total) {}

  PageStats stats() const ABSL_LOCKS_EXCLUDED(mutex_);
  bool shared(int page) const ABSL_LOCKS_EXCLUDED(mutex_);

  // Appends `count` pages, each with one holder, or none: RESOURCE_EXHAUSTED when the pool is full. Numbers
  // are below the most pages that were ever in use at once.
  absl::Status Take(int count, std::vector<int>& pages) ABSL_LOCKS_EXCLUDED(mutex_);
  // One holder more, or less: a page without one is free.
  void Share(int page) ABSL_LOCKS_EXCLUDED(mutex_);
  void Release(int page) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  const int64_t total_;
  mutable absl::Mutex mutex_;
  std::vector<int> holders_ ABSL_GUARDED_BY(mutex_);  // by page
  std::vector<int> free_ ABSL_GUARDED_BY(mutex_);     // the last one given back is the first one taken
  int64_t shared_ ABSL_GUARDED_BY(mutex_) = 0;
};

// One sequence's pages. Where a page begins depends on the content alone (its length, the page starts asked
// for, what was forgotten), never on how many tokens came at once. One thread.
class PageTable {
 public:
  struct Entry {
    int page = 0;   // number in the pool
    int first = 0;  // position of its first token
    int count = 0;  // tokens it holds, at most kPageTokens
  };
  struct Place {
    int page = 0;
    int slot = 0;
  };

  explicit PageTable(PagePool* pool) : pool_(pool) {}
  ~PageTable() { Truncate(0); }
  PageTable(const PageTable&) = delete;
  PageTable& operator=(const PageTable&) = delete;

  // The next token's position: tokens held, and tokens forgotten.
  int length() const { return length_; }
  // Tokens held.
  int held() const { return held_; }
  // In order of position, those of a reservation included.
  const std::vector<Entry>& entries() const { return entries_; }

  // Takes what `tokens` more need, a copy of a shared page that they go on filling included:
  // `copy(from, to)` is called for it. `starts`: which of them begin a new page, ascending from 0. The
  // reservation stands until Advance, or the next Reserve, Truncate or Forget. RESOURCE_EXHAUSTED, and
  // nothing taken, when the pool has not enough or more than `most` would be needed.
  absl::Status Reserve(int tokens, absl::Span<const int> starts, int64_t most,
                       absl::FunctionRef<void(int from, int to)> copy);
  // The reserved tokens are held. REQUIRES: `tokens` were reserved.
  void Advance(int tokens);
  // Where the token at `position` is. REQUIRES: held or reserved.
  Place Locate(int position) const;

  // See Sequence in engine/model/language_model.h.
  void Truncate(int length);
  void Forget(int begin, int end);
  // Makes this one, empty until now, hold what `other` holds.
  void Share(const PageTable& other);

 private:
  // Calls visit(tokens, fresh) for each piece of `tokens` that goes to one page.
  template <typename Visit>
  void LayOut(int tokens, absl::Span<const int> starts, Visit visit) const;
  void DropReservation();

  PagePool* const pool_;
  std::vector<Entry> entries_;
  int length_ = 0;
  int held_ = 0;
};

}  // namespace parley::engine::schedule
