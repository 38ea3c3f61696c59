// Speculative decoding with the model's own MTP modules (V3 section 2.2): they draft the tokens that may come next, the main model computes the rows
// behind them in the step in which it would have computed one, and a draft is kept exactly when it is the token that the main model draws there, with
// the request's key and position. So tokens and log-probs are those without drafts, bit for bit. A draft is drawn from the module's logits as the
// token will be: same adjustments, same filters, same random number.
//
// Each depth's latents lie in the sequence's pages, at the slot of the token that a row consumes. Row p of depth k joins the state of depth k - 1 at
// slot p - 1 and token p, so it depends on tokens up to p alone, as main rows do: full pages are shared with their MTP latents in them. They are
// computed for all verified tokens, prompts too, in one pass when a page is full or when the sequence drafts.
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "infer/governor.h"
#include "infer/scheduler.h"
#include "model/kv_cache.h"
#include "model/transformer.h"

namespace finback {

// EngineOptions::speculative_tokens as a number of MTP depths. Throws Error for more than the model has.
int64_t mtp_depths_of(int64_t speculative_tokens, const ModelConfig& config);

class Speculation {
 public:
  // Both outlive it; `cache` has room for `depths`, 0: it does nothing. governed: drafts where that pays; else always.
  Speculation(Transformer& model, KvCache& cache, int64_t depths, bool governed);

  // Drafts for each of so many sequences that decode in the next step.
  int64_t wanted(int64_t decoding);
  // Fills ScheduledRows::drafts, up to the room of each. What fails in a draft (a mask that throws, logits that are not finite) ends the drafts of that
  // sequence; the draw behind them meets it again.
  void draft(std::vector<ScheduledRows>& step);
  // Main hidden states [rows, D] of a sequence's next tokens, verified ones. REQUIRES: active.cached does not count them yet.
  void record(ActiveRequest& active, const at::Tensor& hidden_TD);
  // Behind a step: a page that is full gets its MTP latents before anybody else may see it.
  void fill_pages(const std::vector<ScheduledRows>& step);
  // A step's seconds, and what was drawn in it. Steps that also read prompts teach the governor nothing.
  void learn(const std::vector<ScheduledRows>& step, double seconds, int64_t tokens);
  // How many of a sequence's drafts were drawn.
  void count(int64_t drafted, int64_t accepted);

  // By position behind the sequence's last token: how many drafts were verified, and how many of them were drawn.
  const std::vector<int64_t>& drafted() const { return drafted_; }
  const std::vector<int64_t>& accepted() const { return accepted_; }

 private:
  // A sequence on its way through the depths.
  struct Chain {
    ScheduledRows* scheduled = nullptr;  // null: brings its latents up to date, drafts nothing
    ActiveRequest* active = nullptr;
    int64_t end = 0;            // verified tokens before it get their latents
    at::Tensor draft_below_TD;  // what the depth below made of drafts
    bool drafting = false;
  };
  void begin(ActiveRequest& active) const;
  void append(ActiveRequest& active, int64_t depth, int64_t first, const at::Tensor& states_TD) const;
  at::Tensor forward(int64_t depth, std::vector<Chain>& chains) const;
  void draw(int64_t depth, std::vector<Chain>& chains, const at::Tensor& last_BD) const;

  Transformer& model_;
  KvCache& cache_;
  int64_t depths_;
  std::optional<SpeculationGovernor> governor_;
  std::vector<int64_t> drafted_, accepted_;
};

}  // namespace finback
