#include "infer/prefix_cache.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace finback {
namespace {

constexpr size_t kMostLost = 4096;        // keys of a namespace that are remembered, 24 bytes each
constexpr size_t kMostNamespaces = 1024;  // those beyond that hold no page are forgotten, their receipts say first_seen

std::span<const int32_t> page_of(std::span<const int32_t> tokens, int64_t page) {
  return tokens.subspan(size_t(page * kPageTokens), size_t(kPageTokens));
}

}  // namespace

PrefixCache::Namespace& PrefixCache::open(const std::string& name) {
  std::unique_ptr<Namespace>& found = namespaces_[name];
  if (!found) {
    found = std::make_unique<Namespace>();
    found->root.key = keys_.root(name);
    found->root.home = found.get();
  }
  Namespace& home = *found;
  home.last_use = ++uses_;
  while (namespaces_.size() > kMostNamespaces) {
    auto oldest = namespaces_.end();
    for (auto it = namespaces_.begin(); it != namespaces_.end(); ++it) {
      const bool idle = it->second->root.children.empty() && it->second.get() != &home;
      if (idle && (oldest == namespaces_.end() || it->second->last_use < oldest->second->last_use)) oldest = it;
    }
    if (oldest == namespaces_.end()) break;  // all hold pages, which are bounded
    namespaces_.erase(oldest);
  }
  return home;
}

// The hash finds it; the parent, which was compared before, and the tokens prove it.
PrefixCache::Entry* PrefixCache::child_of(const Entry& parent, const CacheKey& key, std::span<const int32_t> tokens) const {
  const auto found = entries_.find(key);
  if (found == entries_.end() || found->second->parent != &parent) return nullptr;
  return std::equal(tokens.begin(), tokens.end(), found->second->tokens.begin()) ? found->second.get() : nullptr;
}

PrefixCache::Match PrefixCache::find(const std::string& cache_namespace, std::span<const int32_t> tokens) {
  Entry* last = &open(cache_namespace).root;
  Match match;
  const int64_t most = (int64_t(tokens.size()) - 1) / kPageTokens;
  if (most == 0) match.miss.reason = MissReason::kTooShort;
  for (int64_t i = 0; i < most; ++i) {
    const CacheKey key = keys_.next(last->key, page_of(tokens, i));
    Entry* next = child_of(*last, key, page_of(tokens, i));
    if (!next) {
      match.miss = miss_behind(*last, key, tokens.subspan(size_t(i * kPageTokens)), i * kPageTokens);
      break;
    }
    pages_.share(next->page);
    match.pages.push_back(next->page);
    match.miss.at = (i + 1) * kPageTokens;
    last = next;
  }
  touch(last);
  return match;
}

int64_t PrefixCache::read_on(const std::string& cache_namespace, std::span<const int32_t> tokens, Match& match) {
  const int64_t most = (int64_t(tokens.size()) - 1) / kPageTokens;
  if (!disk_ || int64_t(match.pages.size()) >= most) return 0;
  Entry* last = &open(cache_namespace).root;
  for (int64_t i = 0; i < int64_t(match.pages.size()); ++i) {
    last = child_of(*last, keys_.next(last->key, page_of(tokens, i)), page_of(tokens, i));
    FB_ASSERT(last, "the pages of a match are here");
  }
  int64_t bytes = 0;
  for (int64_t i = int64_t(match.pages.size()); i < most; ++i) {
    const CacheKey key = keys_.next(last->key, page_of(tokens, i));
    match.miss = miss_behind(*last, key, tokens.subspan(size_t(i * kPageTokens)), i * kPageTokens);
    if (entries_.contains(key)) break;  // a collision
    const std::optional<DiskBlock> block = disk_->find(key, last->key, page_of(tokens, i));
    if (!block) break;
    std::optional<int32_t> page = pages_.allocate();
    if (!page && evict_one()) page = pages_.allocate();
    if (!page) break;
    disk_->load(*block, *page);
    bytes += disk_->file_bytes();
    last = &add(*last, key, page_of(tokens, i), *page);
    match.pages.push_back(*page);
    match.miss = {MissReason::kNone, (i + 1) * kPageTokens};
  }
  touch(last);
  return bytes;
}

PrefixCache::Entry& PrefixCache::add(Entry& parent, const CacheKey& key, std::span<const int32_t> tokens, int32_t page) {
  auto entry = std::make_unique<Entry>();
  Entry& added = *entry;
  added.key = key, added.parent = &parent, added.home = parent.home, added.page = page;
  std::copy(tokens.begin(), tokens.end(), added.tokens.begin());
  added.place = by_recency_.insert(by_recency_.end(), &added);
  parent.children.push_back(&added);
  entries_.emplace(key, std::move(entry));
  pages_.share(page);
  return added;
}

// Looks at the caller's namespace alone: what is only in another was never seen.
CacheMiss PrefixCache::miss_behind(const Entry& last, const CacheKey& key, std::span<const int32_t> rest, int64_t found) const {
  const Namespace& home = *last.home;
  if (const auto lost = home.lost.find(key); lost != home.lost.end()) return {lost->second, found};
  int64_t same = 0;
  for (const Entry* child : last.children) {
    same = std::max(same, int64_t(std::mismatch(child->tokens.begin(), child->tokens.end(), rest.begin()).first - child->tokens.begin()));
  }
  const bool diverged = same > 0 || (found > 0 && !last.children.empty());
  return {diverged ? MissReason::kDiverged : MissReason::kFirstSeen, found + same};
}

void PrefixCache::insert(const std::string& cache_namespace, std::span<const int32_t> tokens, std::span<int32_t> pages) {
  FB_ASSERT(tokens.size() % size_t(kPageTokens) == 0 && tokens.size() <= pages.size() * size_t(kPageTokens), "full pages");
  Entry* last = &open(cache_namespace).root;
  for (size_t i = 0; i < tokens.size() / size_t(kPageTokens); ++i) {
    const std::span<const int32_t> of_page = page_of(tokens, int64_t(i));
    const CacheKey key = keys_.next(last->key, of_page);
    Entry* next = child_of(*last, key, of_page);
    if (!next) {
      if (entries_.contains(key)) break;  // a collision: this sequence is not kept
      next = &add(*last, key, of_page, pages[i]);
      if (disk_) disk_->save(key, last->key, of_page, next->page);
    } else if (next->page != pages[i]) {
      pages_.share(next->page);
      pages_.release(std::exchange(pages[i], next->page));
    }
    last = next;
  }
  touch(last);
}

// From the leaf to the root, so that leaves go before their parents.
void PrefixCache::touch(Entry* last) {
  std::vector<CacheKey> keys;
  for (; last->parent; last = last->parent) {
    by_recency_.splice(by_recency_.end(), by_recency_, last->place);
    keys.push_back(last->key);
  }
  if (disk_ && !keys.empty()) disk_->touch(keys);
}

// The first one that no sequence holds is a leaf: whoever holds a page holds those before it, and children stand before their parents.
bool PrefixCache::evict_one() {
  const auto found =
      std::find_if(by_recency_.begin(), by_recency_.end(), [&](Entry* entry) { return pages_.references(entry->page) == 1; });
  if (found == by_recency_.end()) return false;
  drop(**found, MissReason::kEvicted);
  return true;
}

int64_t PrefixCache::evictable() const {
  return std::count_if(by_recency_.begin(), by_recency_.end(), [&](Entry* entry) { return pages_.references(entry->page) == 1; });
}

void PrefixCache::drop(Entry& entry, MissReason reason) {
  FB_ASSERT(entry.children.empty(), "leaves go before their parents");
  Namespace& home = *entry.home;
  // A key that is lost twice stands in the list once; while its page is here nobody asks.
  if (home.lost.insert_or_assign(entry.key, reason).second) home.lost_first.push_back(entry.key);
  if (home.lost_first.size() > kMostLost) {
    home.lost.erase(home.lost_first.front());
    home.lost_first.pop_front();
  }
  std::erase(entry.parent->children, &entry);
  by_recency_.erase(entry.place);
  pages_.release(entry.page);
  entries_.erase(entry.key);
}

void PrefixCache::forget_all() {
  while (!by_recency_.empty()) drop(*by_recency_.front(), MissReason::kOtherWeights);  // children stand before their parents
}

}  // namespace finback
