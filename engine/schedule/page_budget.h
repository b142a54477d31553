// Who may take pages: every conversation is promised some (its system prompt, one turn and an answer), and
// what nobody is promised goes to whoever asks. A promise that is not used up yet is kept out of the others'
// reach, so a conversation that grows never disturbs one that has not.
//
//   kept = sum of max(0, promised - held) over all conversations;  pages in use + kept <= all pages
//
// Pure policy: no tensors, no threads.
#pragma once

#include <algorithm>
#include <cstdint>

#include "absl/container/flat_hash_map.h"
#include "engine/schedule/page_table.h"
#include "engine/schedule/step_planner.h"

namespace parley::engine::schedule {

// One thread. Pages in use come from the pool with each question: a page that several hold counts once.
class PageBudget {
 public:
  // Promises `pages` to a conversation; false when they cannot be kept for it.
  bool Open(WorkId id, int64_t pages, const PageStats& pool);
  // How many times in a row Open would say yes. REQUIRES: pages > 0.
  int64_t CanOpen(int64_t pages, const PageStats& pool) const;
  // What a conversation holds now.
  void Hold(WorkId id, int64_t pages);
  void Close(WorkId id);

  // How many more pages a conversation may take.
  int64_t Room(WorkId id, const PageStats& pool) const;
  // Promised and not held.
  int64_t kept() const { return kept_; }

 private:
  struct Account {
    int64_t promised = 0;
    int64_t held = 0;
    int64_t kept() const { return std::max<int64_t>(0, promised - held); }
  };

  // Pages that nobody holds or is promised.
  int64_t Free(const PageStats& pool) const;

  absl::flat_hash_map<WorkId, Account> accounts_;
  int64_t kept_ = 0;  // of all of them
};

}  // namespace parley::engine::schedule
