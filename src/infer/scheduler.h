// Which sequences run, and by how many rows each goes on in the next step. Owns all requests in order of age and their pages' ids; knows no model,
// no logits. Every decision is a function of the requests and the pages that are free, and none of them changes a token: rows are bit-invariant
// and draws are keyed by the request. One thread (the engine's).
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "base/error.h"
#include "infer/page_allocator.h"
#include "infer/prefix_cache.h"
#include "infer/request.h"

namespace finback {

// No room in the queue: the caller tries again later (a server answers 429).
class QueueFull : public Error {
 public:
  using Error::Error;
};

// How far one MTP depth has come in a sequence (speculation.h).
struct MtpProgress {
  int64_t next = 0;     // the first token whose latent of this depth is not in the pages
  at::Tensor below_TD;  // hidden states of the depth below: of token next - 1 and of those behind it, as far as they are verified
};

// A request and how far it has come.
struct ActiveRequest {
  int64_t id = 0;
  Request request;
  std::vector<int32_t> tokens;                                         // prompt, then new tokens
  std::vector<int32_t> pages;                                          // of the cache: token p lies in page pages[p / 64]
  int64_t kept = 0;                                                    // of the pages, so many were given to the prefix cache
  bool mixed_weights = false;                                          // the weights changed while it ran: its pages are nobody else's
  CacheMiss miss;                                                      // behind the pages that it found
  std::optional<CacheReceipt> receipt;                                 // of its admission
  int64_t cached = 0;                                                  // tokens whose latents are in the pages
  int64_t generated = 0;                                               // new tokens
  int64_t scored = 0;                                                  // tokens of the prompt whose log-prob is known, with prompt_logprobs
  std::vector<PromptLogprob> prompt_logprobs;                          // theirs, until an event takes them
  std::vector<MtpProgress> mtp;                                        // of each depth that drafts; empty before the first rows
  int64_t pending() const { return int64_t(tokens.size()) - cached; }  // tokens to compute before the next one is drawn
};

// The next `rows` pending tokens of a sequence. When they are all that is pending, a token is drawn behind them. Behind a sequence that decodes
// there may be drafts, each a row more.
struct ScheduledRows {
  ActiveRequest* active = nullptr;
  int64_t rows = 0;
  int64_t draft_room = 0;            // drafts that the pages have room for
  std::vector<int32_t> drafts = {};  // what the MTP modules expect next, at most so many
  int64_t all_rows() const { return rows + int64_t(drafts.size()); }
  bool draws() const { return rows == active->pending(); }
};

struct SchedulerOptions {
  int64_t step_tokens = 512;   // rows of a step: one of each sequence that decodes, whatever is left (at least one) for prompts
  int64_t max_sequences = 16;  // running at the same time
  int64_t max_waiting = 0;     // requests held beyond max_sequences; 0: any number
  bool prefix_cache = true;    // keep full pages behind their sequence, until the room is needed
};

class Scheduler {
 public:
  // disk: the tier behind the prefix cache, outlives the scheduler; may be null.
  Scheduler(const SchedulerOptions& options, int64_t pages, DiskTier* disk = nullptr);
  Scheduler(const Scheduler&) = delete;  // the prefix cache points at the pages
  // Behind all others. Throws QueueFull.
  void add(ActiveRequest active);
  // Takes pages for the rows of the next step and returns them, oldest sequence first; empty when there is none. A request that is admitted begins
  // behind what the prefix cache has of it. Running out of pages evicts cached ones; when there are none it preempts the youngest running sequence: its pages are free, it waits before all others, and all its tokens, drawn ones too, are computed again. The
  // oldest always goes on. Pointers are good until the sequence is removed. drafts: for each sequence that decodes, at most so many; they get pages
  // that are free and no others, and none behind max_tokens. REQUIRES: every request fits into the pages when it is alone.
  std::vector<ScheduledRows> next_step(int64_t drafts = 0);
  // The latents of its cached tokens are in its pages: full ones go to the prefix cache, too. REQUIRES: a sequence of the last step.
  void keep(ActiveRequest& active);
  // What the prefix cache holds is worthless now.
  void weights_changed();
  // Its pages are free again, at once. False for an unknown id.
  bool remove(int64_t id);
  // Null for an unknown id.
  const ActiveRequest* find(int64_t id) const;

  int64_t running() const { return running_; }
  int64_t decoding() const;  // of those that run, as they are now
  int64_t waiting() const { return int64_t(by_age_.size()) - running_; }
  int64_t preemptions() const { return preemptions_; }
  int64_t pages() const { return pages_count_; }
  int64_t pages_used() const { return pages_count_ - pages_.available() - prefix_cache_.evictable(); }  // by sequences
  int64_t pages_cached() const { return prefix_cache_.size(); }                                         // by the prefix cache, used or not

 private:
  std::vector<int64_t> rows_by_age(int64_t drafts) const;
  int64_t draft_room(ActiveRequest& active, int64_t drafts);
  bool take_pages(int64_t index, int64_t tokens);
  void admit();
  bool is_being_read(const ActiveRequest& next) const;
  void take_cached(ActiveRequest& next);
  void read_from_disk(ActiveRequest& next);
  bool fits(int64_t pages) const;
  void preempt_youngest();
  void release(ActiveRequest& active);

  SchedulerOptions options_;
  int64_t pages_count_ = 0;
  PageAllocator pages_;
  PrefixCache prefix_cache_;
  std::deque<std::unique_ptr<ActiveRequest>> by_age_;  // ids rise; the first running_ have pages, the others have none
  int64_t running_ = 0, preemptions_ = 0;
};

// Pages that hold so many tokens.
int64_t pages_for(int64_t tokens);

}  // namespace finback
