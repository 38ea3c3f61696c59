#include "infer/scheduler.h"

#include <algorithm>
#include <utility>

#include "model/kv_cache.h"

namespace finback {

int64_t pages_for(int64_t tokens) { return (tokens + kPageTokens - 1) / kPageTokens; }

Scheduler::Scheduler(const SchedulerOptions& options, int64_t pages, DiskTier* disk)
    : options_(options), pages_count_(pages), pages_(pages), prefix_cache_(pages_, disk) {
  FB_CHECK(options.step_tokens > 0, "step_tokens: expected more than 0, got {}", options.step_tokens);
  FB_CHECK(options.max_sequences > 0, "max_sequences: expected more than 0, got {}", options.max_sequences);
  FB_CHECK(options.max_waiting >= 0, "max_waiting: expected 0 (any number) or more, got {}", options.max_waiting);
}

void Scheduler::add(ActiveRequest active) {
  const int64_t held = int64_t(by_age_.size()), most = options_.max_sequences + options_.max_waiting;
  if (options_.max_waiting > 0 && held >= most)
    throw QueueFull(fmt::format("expected at most {} requests at the same time, got one more. Hint: try again later", most));
  by_age_.push_back(std::make_unique<ActiveRequest>(std::move(active)));
}

std::vector<ScheduledRows> Scheduler::next_step(int64_t drafts) {
  admit();
  const std::vector<int64_t> rows = rows_by_age(drafts);
  std::vector<ScheduledRows> step;
  // Pages go to the oldest first; the youngest, which may lose its own, come last. So nobody who is in the step already loses any.
  for (int64_t i = 0; i < running_; ++i) {
    ActiveRequest& active = *by_age_[size_t(i)];
    if (rows[size_t(i)] > 0 && take_pages(i, active.cached + rows[size_t(i)])) step.push_back({&active, rows[size_t(i)]});
  }
  FB_ASSERT(!step.empty() || by_age_.empty(), "the oldest sequence always goes on");
  for (ScheduledRows& scheduled : step) {
    if (drafts > 0 && scheduled.active->pending() == 1) scheduled.draft_room = draft_room(*scheduled.active, drafts);
  }
  return step;
}

// Pages for drafts are taken when everybody has what it needs, so that no draft takes a page from a token that is certain.
int64_t Scheduler::draft_room(ActiveRequest& active, int64_t drafts) {
  const int64_t wanted = std::min(drafts, active.request.max_tokens - active.generated - 1), tokens = int64_t(active.tokens.size());
  while (int64_t(active.pages.size()) < pages_for(tokens + wanted)) {
    const auto page = pages_.allocate();
    if (!page) break;
    active.pages.push_back(*page);
  }
  return std::clamp<int64_t>(int64_t(active.pages.size()) * kPageTokens - tokens, 0, std::max<int64_t>(wanted, 0));
}

int64_t Scheduler::decoding() const {
  return std::count_if(by_age_.begin(), by_age_.begin() + running_, [](const auto& active) { return active->pending() == 1; });
}

// Of each running sequence: one where it decodes, beside its drafts; prompts share what is left of the step, the oldest first.
std::vector<int64_t> Scheduler::rows_by_age(int64_t drafts) const {
  std::vector<int64_t> rows(size_t(running_), 0);
  int64_t left = options_.step_tokens;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (by_age_[i]->pending() == 1) rows[i] = 1, left -= 1 + drafts;
  }
  left = std::max<int64_t>(left, 1);
  for (size_t i = 0; i < rows.size() && left > 0; ++i) {
    if (rows[i] > 0) continue;
    rows[i] = std::min(left, by_age_[i]->pending());
    left -= rows[i];
  }
  return rows;
}

// Admits while all tokens of the next one fit beside those that are running: a prompt that is read half and preempted is work done twice.
void Scheduler::admit() {
  int64_t promised = 0;  // pages that running sequences will take for the tokens they have
  for (int64_t i = 0; i < running_; ++i) {
    const ActiveRequest& active = *by_age_[size_t(i)];  // one with room for drafts may have a page more
    promised += std::max<int64_t>(0, pages_for(int64_t(active.tokens.size())) - int64_t(active.pages.size()));
  }
  while (running_ < std::min(options_.max_sequences, int64_t(by_age_.size()))) {
    ActiveRequest& next = *by_age_[size_t(running_)];
    if (is_being_read(next)) break;
    take_cached(next);
    const auto needed = [&] { return pages_for(int64_t(next.tokens.size())) - int64_t(next.pages.size()); };
    if (running_ > 0 && !fits(promised + needed())) {
      release(next);
      break;
    }
    read_from_disk(next);  // only now: pages for it are there
    promised += needed();
    ++running_;
  }
}

// Whether a running sequence computes the very page that the next one needs first: many answers to one prompt read it once.
bool Scheduler::is_being_read(const ActiveRequest& next) const {
  if (!options_.prefix_cache || next.request.prompt_logprobs) return false;
  const int64_t most = (int64_t(next.tokens.size()) - 1) / kPageTokens * kPageTokens;  // tokens that it could find
  return std::any_of(by_age_.begin(), by_age_.begin() + running_, [&](const auto& active) {
    const bool reads = active->pending() > 1 && !active->mixed_weights && active->request.cache_namespace == next.request.cache_namespace;
    if (!reads) return false;
    const auto differs = std::mismatch(active->tokens.begin(), active->tokens.end(), next.tokens.begin(), next.tokens.end()).first;
    const int64_t common = std::min(int64_t(differs - active->tokens.begin()) / kPageTokens * kPageTokens, most);
    return common > active->cached;
  });
}

// Its pages begin with those that the prefix cache has. The log-probs of a prompt need every row of it, so none is taken then.
void Scheduler::take_cached(ActiveRequest& next) {
  PrefixCache::Match match;
  if (options_.prefix_cache && !next.request.prompt_logprobs) match = prefix_cache_.find(next.request.cache_namespace, next.tokens);
  next.pages = std::move(match.pages), next.miss = match.miss;
  next.kept = int64_t(next.pages.size());
  next.cached = next.kept * kPageTokens;
}

void Scheduler::read_from_disk(ActiveRequest& next) {
  PrefixCache::Match match{std::move(next.pages), next.miss};
  int64_t bytes = 0;
  if (options_.prefix_cache && !next.request.prompt_logprobs)
    bytes = prefix_cache_.read_on(next.request.cache_namespace, next.tokens, match);
  const int64_t memory_tokens = next.cached;
  next.pages = std::move(match.pages);
  next.kept = int64_t(next.pages.size());
  next.cached = next.kept * kPageTokens;
  if (next.receipt) return;  // preempted before: what it finds now is its own
  next.receipt.emplace();
  next.receipt->memory_tokens = memory_tokens;
  next.receipt->disk_tokens = next.cached - memory_tokens;
  next.receipt->computed_tokens = int64_t(next.tokens.size()) - next.cached;
  next.receipt->bytes_read = bytes;
  next.receipt->miss = match.miss;
}

bool Scheduler::fits(int64_t pages) const { return pages <= pages_.available() || pages <= pages_.available() + prefix_cache_.evictable(); }

void Scheduler::keep(ActiveRequest& active) {
  const int64_t full = active.cached / kPageTokens;
  if (!options_.prefix_cache || active.mixed_weights || full <= active.kept) return;
  prefix_cache_.insert(active.request.cache_namespace, std::span(active.tokens).first(size_t(full * kPageTokens)), active.pages);
  active.kept = full;
}

void Scheduler::weights_changed() {
  prefix_cache_.forget_all();
  for (int64_t i = 0; i < running_; ++i) by_age_[size_t(i)]->mixed_weights = true;
}

bool Scheduler::take_pages(int64_t index, int64_t tokens) {
  ActiveRequest& active = *by_age_[size_t(index)];
  while (int64_t(active.pages.size()) < pages_for(tokens)) {
    if (const auto page = pages_.allocate()) {
      active.pages.push_back(*page);
      continue;
    }
    if (prefix_cache_.evict_one()) continue;
    const bool itself = index == running_ - 1;
    FB_ASSERT(!itself || index > 0, "one sequence never needs more pages than the cache has");
    preempt_youngest();
    if (itself) return false;
  }
  return true;
}

void Scheduler::preempt_youngest() {
  release(*by_age_[size_t(--running_)]);
  ++preemptions_;
}

void Scheduler::release(ActiveRequest& active) {
  for (const int32_t page : active.pages) pages_.release(page);
  active.pages.clear();
  active.cached = active.kept = 0;
  active.mtp.clear();
  active.mixed_weights = false;
}

bool Scheduler::remove(int64_t id) {
  const auto found = std::find_if(by_age_.begin(), by_age_.end(), [&](const auto& active) { return active->id == id; });
  if (found == by_age_.end()) return false;
  release(**found);
  running_ -= found - by_age_.begin() < running_;
  by_age_.erase(found);
  return true;
}

const ActiveRequest* Scheduler::find(int64_t id) const {
  const auto found = std::find_if(by_age_.begin(), by_age_.end(), [&](const auto& active) { return active->id == id; });
  return found == by_age_.end() ? nullptr : found->get();
}

}  // namespace finback
