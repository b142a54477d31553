#include "engine/schedule/page_budget.h"

#include <limits>

namespace parley::engine::schedule {

bool PageBudget::Open(WorkId id, int64_t pages, const PageStats& pool) {
  if (pages > Free(pool)) return false;
  accounts_[id] = {.promised = pages, .held = 0};
  kept_ += pages;
  return true;
}

int64_t PageBudget::CanOpen(int64_t pages, const PageStats& pool) const { return Free(pool) / pages; }

void PageBudget::Hold(WorkId id, int64_t pages) {
  Account& account = accounts_[id];
  kept_ -= account.kept();
  account.held = pages;
  kept_ += account.kept();
}

void PageBudget::Close(WorkId id) {
  const auto account = accounts_.find(id);
  if (account == accounts_.end()) return;
  kept_ -= account->second.kept();
  accounts_.erase(account);
}

int64_t PageBudget::Room(WorkId id, const PageStats& pool) const {
  if (pool.total == 0) return std::numeric_limits<int64_t>::max();
  const auto account = accounts_.find(id);
  const int64_t own = account == accounts_.end() ? 0 : account->second.kept();
  return own + Free(pool);
}

int64_t PageBudget::Free(const PageStats& pool) const {
  if (pool.total == 0) return std::numeric_limits<int64_t>::max();
  return std::max<int64_t>(0, pool.total - pool.in_use - kept_);
}

}  // namespace parley::engine::schedule
