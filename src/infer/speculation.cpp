#include "infer/speculation.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <exception>
#include <span>

#include "base/error.h"
#include "infer/logit_adjustment.h"
#include "infer/sampler.h"
#include "model/mtp.h"

namespace finback {
namespace {

// Depth d (from 0) has no latents for the first d + 1 tokens of a sequence.
int64_t shift_of(int64_t depth) { return depth + 1; }

int32_t token_at(const ActiveRequest& active, const std::vector<int32_t>& drafts, int64_t position) {
  const int64_t known = int64_t(active.tokens.size());
  return position < known ? active.tokens[size_t(position)] : drafts[size_t(position - known)];
}

// What the main model would draw from these logits behind the drafts so far.
int32_t draw_draft(std::span<const float> logits, const ActiveRequest& active, const std::vector<int32_t>& drafts) {
  const int64_t position = int64_t(active.tokens.size() + drafts.size()), generated = active.generated + int64_t(drafts.size());
  const auto draw = [&](std::span<const float> row) { return sample(row, active.request.sampling, active.request.key, position).token; };
  if (!adjusts_logits(active.request, generated)) return draw(logits);
  std::vector<int32_t> tokens = active.tokens;
  tokens.insert(tokens.end(), drafts.begin(), drafts.end());
  std::vector<float> adjusted(logits.begin(), logits.end());
  adjust_logits(adjusted, active.request, tokens, generated);
  return draw(adjusted);
}

}  // namespace

int64_t mtp_depths_of(int64_t speculative_tokens, const ModelConfig& config) {
  const int64_t modules = config.num_nextn_predict_layers;
  FB_CHECK(speculative_tokens <= 0 || modules > 0,
           "speculative_tokens: expected a model with MTP modules (num_nextn_predict_layers), got one without. Hint: auto or 0");
  FB_CHECK(speculative_tokens >= -1 && speculative_tokens <= modules,
           "speculative_tokens: expected at most {}, a token for each MTP module of the model, got {}. Hint: auto or 0", modules,
           speculative_tokens);
  return speculative_tokens < 0 ? modules : speculative_tokens;
}

Speculation::Speculation(Transformer& model, KvCache& cache, int64_t depths, bool governed)
    : model_(model), cache_(cache), depths_(depths), drafted_(size_t(depths), 0), accepted_(size_t(depths), 0) {
  if (governed && depths > 0) governor_.emplace(depths);
}

int64_t Speculation::wanted(int64_t decoding) { return governor_ && decoding > 0 ? governor_->drafts(decoding) : depths_; }

void Speculation::learn(const std::vector<ScheduledRows>& step, double seconds, int64_t tokens) {
  if (!governor_) return;
  const int64_t drafts = step[0].draft_room;
  const bool alike = std::all_of(step.begin(), step.end(), [&](const ScheduledRows& s) { return s.rows == 1 && s.draft_room == drafts; });
  if (alike) governor_->learn(int64_t(step.size()), drafts, seconds, tokens);
}

void Speculation::count(int64_t drafted, int64_t accepted) {
  for (int64_t i = 0; i < drafted; ++i) ++drafted_[size_t(i)], accepted_[size_t(i)] += i < accepted;
}

// Behind a prefix hit each depth goes on from what the last page of it kept.
void Speculation::begin(ActiveRequest& active) const {
  if (!active.mtp.empty()) return;
  for (int64_t depth = 0; depth < depths_; ++depth) {
    MtpProgress progress{.next = shift_of(depth), .below_TD = {}};
    if (active.cached > 0) {
      progress.next = active.cached;
      progress.below_TD = cache_.last_hidden_XKD[active.pages[size_t(active.cached / kPageTokens) - 1]].narrow(0, depth, 1);
    }
    active.mtp.push_back(std::move(progress));
  }
}

// States of the depth below `depth` at slots first, first + 1, ...
void Speculation::append(ActiveRequest& active, int64_t depth, int64_t first, const at::Tensor& states_TD) const {
  at::Tensor& below_TD = active.mtp[size_t(depth)].below_TD;
  below_TD = below_TD.defined() ? at::cat({below_TD, states_TD}) : states_TD.clone();
  for (int64_t slot = first / kPageTokens * kPageTokens + kPageTokens - 1; slot < first + states_TD.size(0); slot += kPageTokens) {
    cache_.last_hidden_XKD[active.pages[size_t(slot / kPageTokens)]][depth].copy_(states_TD[slot - first]);
  }
}

void Speculation::record(ActiveRequest& active, const at::Tensor& hidden_TD) {
  if (depths_ == 0 || hidden_TD.size(0) == 0) return;
  begin(active);
  append(active, 0, active.cached, hidden_TD);
}

// One pass of a depth over the rows that the chains lack: verified ones, then those that consume drafts. Returns the last state of each chain that
// had any; keeps what the next depth joins.
at::Tensor Speculation::forward(int64_t depth, std::vector<Chain>& chains) const {
  std::vector<int64_t> tokens, positions, joined;
  std::vector<at::Tensor> below;
  MtpRows rows;
  for (const Chain& chain : chains) {
    const MtpProgress& progress = chain.active->mtp[size_t(depth)];
    const int64_t first = progress.next, last = chain.end + (chain.drafting ? depth : 0), before = first - shift_of(depth);
    Sequence sequence;
    sequence.first_row = int64_t(tokens.size()), sequence.rows = std::max<int64_t>(0, last - first);
    if (sequence.rows == 0) continue;
    sequence.pages = chain.active->pages;
    sequence.cached_tokens = before;
    if (before > 0) sequence.keys.push_back({KeySegment::Where::kCache, 0, before});
    sequence.keys.push_back({KeySegment::Where::kBatch, sequence.first_row, sequence.rows});
    for (int64_t slot = first; slot < last; ++slot) {
      joined.push_back(int64_t(tokens.size()));
      tokens.push_back(token_at(*chain.active, chain.scheduled ? chain.scheduled->drafts : std::vector<int32_t>(), slot));
      positions.push_back(slot - shift_of(depth));
    }
    below.push_back(progress.below_TD);
    if (chain.drafting && depth > 0) below.push_back(chain.draft_below_TD);
    const int64_t states = progress.below_TD.size(0) + (chain.drafting && depth > 0 ? chain.draft_below_TD.size(0) : 0);
    FB_ASSERT(states >= sequence.rows, "a state below for each row");
    if (states > sequence.rows) below.back() = below.back().narrow(0, 0, below.back().size(0) - (states - sequence.rows));
    rows.batch.sequences.push_back(std::move(sequence));
  }
  if (tokens.empty()) return {};
  rows.batch.tokens_T = at::tensor(tokens, at::kLong).to(model_.device());
  rows.batch.positions_T = at::tensor(positions, at::kLong).to(model_.device());
  rows.rows = at::tensor(joined, at::kLong).to(model_.device());
  ForwardOptions options;
  options.algebra = MlaAlgebra::kAbsorbed;
  options.cache = &cache_;
  const at::Tensor hidden_TD = model_.mtp_forward(depth, rows, at::cat(below), options);
  std::vector<int64_t> last_rows;
  int64_t row = 0;
  for (Chain& chain : chains) {
    MtpProgress& progress = chain.active->mtp[size_t(depth)];
    const int64_t first = progress.next, verified = std::max<int64_t>(0, chain.end - first), drafts = chain.drafting ? depth : 0;
    if (verified + drafts == 0) continue;
    if (depth + 1 < depths_ && verified > 0) append(*chain.active, depth + 1, first, hidden_TD.narrow(0, row, verified));
    if (chain.drafting) chain.draft_below_TD = hidden_TD.narrow(0, row + verified, drafts);
    progress.below_TD = progress.below_TD.narrow(0, verified, progress.below_TD.size(0) - verified).clone();
    progress.next = first + verified;
    row += verified + drafts;
    last_rows.push_back(row - 1);
  }
  return hidden_TD.index_select(0, at::tensor(last_rows, at::kLong).to(model_.device()));
}

void Speculation::draw(int64_t depth, std::vector<Chain>& chains, const at::Tensor& last_BD) const {
  const at::Tensor logits_BW = model_.logits(last_BD).to(at::kCPU).contiguous();
  const int64_t vocabulary = logits_BW.size(1);
  FB_ASSERT(last_BD.size(0) == int64_t(chains.size()), "the row that consumes the last token is new in each chain");
  for (size_t b = 0; b < chains.size(); ++b) {
    Chain& chain = chains[b];
    std::vector<int32_t>& drafts = chain.scheduled->drafts;
    try {
      const float* logits = logits_BW.const_data_ptr<float>() + int64_t(b) * vocabulary;
      drafts.push_back(draw_draft({logits, size_t(vocabulary)}, *chain.active, drafts));
    } catch (const std::exception&) {
      chain.drafting = false;
    }
    chain.drafting = chain.drafting && depth + 1 < chain.scheduled->draft_room;
  }
  std::erase_if(chains, [](const Chain& chain) { return !chain.drafting; });
}

void Speculation::draft(std::vector<ScheduledRows>& step) {
  std::vector<Chain> chains;
  for (ScheduledRows& scheduled : step) {
    if (scheduled.draft_room == 0 || scheduled.active->tokens.size() < 2) continue;  // the first token has no latent
    begin(*scheduled.active);
    chains.push_back({&scheduled, scheduled.active, int64_t(scheduled.active->tokens.size()), {}, true});
  }
  for (int64_t depth = 0; !chains.empty(); ++depth) draw(depth, chains, forward(depth, chains));
}

void Speculation::fill_pages(const std::vector<ScheduledRows>& step) {
  std::vector<Chain> chains;
  for (const ScheduledRows& scheduled : step) {
    ActiveRequest& active = *scheduled.active;
    const int64_t full = active.cached / kPageTokens * kPageTokens;
    const bool lacks = std::any_of(active.mtp.begin(), active.mtp.end(), [&](const MtpProgress& depth) { return depth.next < full; });
    if (lacks) chains.push_back({nullptr, &active, active.cached, {}, false});
  }
  for (int64_t depth = 0; depth < depths_ && !chains.empty(); ++depth) forward(depth, chains);
}

}  // namespace finback
