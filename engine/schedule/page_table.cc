#include "engine/schedule/page_table.h"

#include <algorithm>
#include <cassert>

#include "absl/strings/str_cat.h"

namespace parley::engine::schedule {

PageStats PagePool::stats() const {
  absl::MutexLock lock(&mutex_);
  return {total_, static_cast<int64_t>(holders_.size() - free_.size()), shared_};
}

bool PagePool::shared(int page) const {
  absl::MutexLock lock(&mutex_);
  return holders_[page] > 1;
}

absl::Status PagePool::Take(int count, std::vector<int>& pages) {
  absl::MutexLock lock(&mutex_);
  const int64_t unused = total_ - static_cast<int64_t>(holders_.size() - free_.size());
  if (count > unused) {
    return absl::ResourceExhaustedError(absl::StrCat("the KV cache is full: ", count, " pages of ",
                                                     kPageTokens, " tokens wanted, ", unused, " of ", total_,
                                                     " free"));
  }
  for (int i = 0; i < count; ++i) {
    if (free_.empty()) {
      free_.push_back(static_cast<int>(holders_.size()));
      holders_.push_back(0);
    }
    pages.push_back(free_.back());
    holders_[free_.back()] = 1;
    free_.pop_back();
  }
  return absl::OkStatus();
}

void PagePool::Share(int page) {
  absl::MutexLock lock(&mutex_);
  if (++holders_[page] == 2) ++shared_;
}

void PagePool::Release(int page) {
  absl::MutexLock lock(&mutex_);
  const int left = --holders_[page];
  if (left == 1) --shared_;
  if (left == 0) free_.push_back(page);
}

template <typename Visit>
void PageTable::LayOut(int tokens, absl::Span<const int> starts, Visit visit) const {
  int room = 0;
  if (!entries_.empty() && entries_.back().first + entries_.back().count == length_) {
    room = kPageTokens - entries_.back().count;
  }
  for (int at = 0; at < tokens;) {
    while (!starts.empty() && starts.front() <= at) {
      if (starts.front() == at) room = 0;
      starts.remove_prefix(1);
    }
    const bool fresh = room == 0;
    if (fresh) room = kPageTokens;
    const int until = starts.empty() ? tokens : std::min(starts.front(), tokens);
    const int piece = std::min(room, until - at);
    visit(piece, fresh);
    room -= piece;
    at += piece;
  }
}

void PageTable::DropReservation() {
  while (!entries_.empty() && entries_.back().first >= length_) {
    pool_->Release(entries_.back().page);
    entries_.pop_back();
  }
  if (!entries_.empty())
    entries_.back().count = std::min(entries_.back().count, length_ - entries_.back().first);
}

absl::Status PageTable::Reserve(int tokens, absl::Span<const int> starts, int64_t most,
                                absl::FunctionRef<void(int from, int to)> copy) {
  DropReservation();
  int fresh_pages = 0;
  bool extends = false;  // the last page goes on being filled
  LayOut(tokens, starts, [&](int /*piece*/, bool fresh) {
    if (fresh) {
      ++fresh_pages;
    } else if (fresh_pages == 0) {
      extends = true;
    }
  });
  const bool copies = extends && pool_->shared(entries_.back().page);
  const int need = fresh_pages + (copies ? 1 : 0);
  if (need > most) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the KV cache is full: ", need, " pages of ", kPageTokens, " tokens wanted, ", most,
                     " to be had beside what is promised to other conversations"));
  }
  std::vector<int> pages;
  if (absl::Status status = pool_->Take(need, pages); !status.ok()) return status;
  auto page = pages.begin();
  if (copies) {
    copy(entries_.back().page, *page);
    pool_->Release(entries_.back().page);
    entries_.back().page = *page++;
  }
  int position = length_;
  LayOut(tokens, starts, [&](int piece, bool fresh) {
    if (fresh) {
      entries_.push_back({*page++, position, piece});
    } else {
      entries_.back().count += piece;
    }
    position += piece;
  });
  return absl::OkStatus();
}

void PageTable::Advance(int tokens) {
  length_ += tokens;
  held_ += tokens;
}

PageTable::Place PageTable::Locate(int position) const {
  const auto after = std::upper_bound(entries_.begin(), entries_.end(), position,
                                      [](int p, const Entry& entry) { return p < entry.first; });
  const Entry& entry = *(after - 1);
  return {entry.page, position - entry.first};
}

void PageTable::Truncate(int length) {
  DropReservation();
  length_ = length;
  DropReservation();
  held_ = 0;
  for (const Entry& entry : entries_) held_ += entry.count;
}

void PageTable::Forget(int begin, int end) {
  DropReservation();
  const auto before = [](const Entry& entry, int position) { return entry.first < position; };
  const auto from = std::lower_bound(entries_.begin(), entries_.end(), begin, before);
  const auto to = std::lower_bound(from, entries_.end(), end, before);
  for (auto entry = from; entry != to; ++entry) {
    assert(entry->first + entry->count <= end);
    held_ -= entry->count;
    pool_->Release(entry->page);
  }
  entries_.erase(from, to);
}

void PageTable::Share(const PageTable& other) {
  entries_ = other.entries_;
  length_ = other.length_;
  held_ = other.held_;
  for (const Entry& entry : entries_) pool_->Share(entry.page);
  DropReservation();  // of the other one
}

}  // namespace parley::engine::schedule
