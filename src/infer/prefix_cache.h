// The prefix cache: full pages of the KV cache by the tokens that they and all pages before them hold. It owns no memory: a
// page that it keeps has one of the allocator's references from here. Pages are found through a chain of keys (cache_key.h) and are used only
// when the tokens are the same, so a collision costs time and nothing else. A namespace never sees another's pages. Behind memory there may be a
// disk tier: every page that is kept goes there too, and is read from there when memory has lost it. Knows no model: whoever changes the weights
// calls forget_all(). One thread (the engine's).
#pragma once
#include <array>
#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "infer/cache_key.h"
#include "infer/disk_tier.h"
#include "infer/page_allocator.h"
#include "infer/request.h"
#include "model/kv_cache.h"

namespace finback {

class PrefixCache {
 public:
  // `pages` and `disk` outlive the cache; disk may be null. Its keys are the disk's, or of this process alone.
  explicit PrefixCache(PageAllocator& pages, DiskTier* disk = nullptr)
      : PrefixCache(pages, disk ? disk->keys() : CacheKeys(random_cache_secret()), disk) {}
  PrefixCache(PageAllocator& pages, const CacheKeys& keys, DiskTier* disk = nullptr) : pages_(pages), keys_(keys), disk_(disk) {}

  struct Match {
    std::vector<int32_t> pages;  // that hold the beginning of the tokens; one reference of each is the caller's
    CacheMiss miss;              // why it is no more
  };
  // The longest chain of pages in this namespace. Never all tokens: the last one has to be computed, for its hidden state.
  Match find(const std::string& cache_namespace, std::span<const int32_t> tokens);
  // Goes on with what the disk has behind the pages of a match of these tokens: they are read into pages that are free or that evict_one() gives up.
  // The bytes that were read.
  int64_t read_on(const std::string& cache_namespace, std::span<const int32_t> tokens, Match& match);
  // Keeps the full pages of a sequence: pages[i] holds tokens 64 i to 64 i + 63. A page whose content is here already is given back, and the one
  // that is here takes its place in `pages`. REQUIRES: tokens.size() is a multiple of 64 and no more than pages hold.
  void insert(const std::string& cache_namespace, std::span<const int32_t> tokens, std::span<int32_t> pages);
  // Gives up the page that was not used for longest, of those that no sequence holds and that no other page here continues. False: there is none.
  bool evict_one();
  // Pages that evict_one() could give up, one after the other.
  int64_t evictable() const;
  int64_t size() const { return int64_t(entries_.size()); }
  // Drops every page: with these weights they would hold something else.
  void forget_all();

 private:
  struct Namespace;
  // A page behind its parent's.
  struct Entry {
    CacheKey key = {};
    Entry* parent = nullptr;  // null: the root of a namespace, which has no page
    Namespace* home = nullptr;
    int32_t page = -1;
    std::array<int32_t, size_t(kPageTokens)> tokens = {};
    std::vector<Entry*> children = {};
    std::list<Entry*>::iterator place = {};  // in by_recency_
  };
  struct Namespace {
    Entry root;
    std::unordered_map<CacheKey, MissReason, CacheKeyHash> lost;  // pages that were here, and why they no longer are
    std::deque<CacheKey> lost_first;                              // their keys, oldest first: the list is bounded
    uint64_t last_use = 0;
  };

  Namespace& open(const std::string& name);
  Entry* child_of(const Entry& parent, const CacheKey& key, std::span<const int32_t> tokens) const;
  Entry& add(Entry& parent, const CacheKey& key, std::span<const int32_t> tokens, int32_t page);
  CacheMiss miss_behind(const Entry& last, const CacheKey& key, std::span<const int32_t> rest, int64_t found) const;
  void touch(Entry* last);
  void drop(Entry& entry, MissReason reason);

  PageAllocator& pages_;
  CacheKeys keys_;
  DiskTier* disk_;
  std::map<std::string, std::unique_ptr<Namespace>> namespaces_;
  std::unordered_map<CacheKey, std::unique_ptr<Entry>, CacheKeyHash> entries_;
  std::list<Entry*> by_recency_;  // the one that was not used for longest first; of one use, the page furthest from the root
  uint64_t uses_ = 0;
};

}  // namespace finback
