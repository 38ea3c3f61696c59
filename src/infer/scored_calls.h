// The ways in which documents run through a model, and the log-prob that every token gets in each: packed without a cache as in training, or
// as calls over a cache, each of which continues some documents by some rows as prefill and decode do. Test code only.
#pragma once
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <bit>
#include <functional>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "kernels/head_loss.h"
#include "model/test_models.h"

namespace finback::test {

using Documents = std::vector<std::vector<int64_t>>;

// A call continues these documents in this order, each by some rows. kPadding is a neighbour of no interest, begun anew in each call.
inline constexpr size_t kPadding = ~size_t{0};
struct Continuation {
  size_t document;
  int64_t rows;
};
using Call = std::vector<Continuation>;
struct Way {
  std::string name;
  std::vector<Call> calls;
  bool cached = true;  // false: one call, of whole documents
};

inline Way packed(const Documents& documents) {
  Way way{"packed", {{}}, false};
  for (size_t d = 0; d < documents.size(); ++d) way.calls[0].push_back({d, int64_t(documents[d].size())});
  return way;
}

// One document after another, `chunk` rows a call; chunk 1 is decode alone.
inline Way alone(const Documents& documents, int64_t chunk) {
  Way way{fmt::format("alone by {}", chunk), {}};
  for (size_t d = 0; d < documents.size(); ++d) {
    const int64_t length = int64_t(documents[d].size());
    for (int64_t done = 0; done < length; done += chunk) way.calls.push_back({{d, std::min(chunk, length - done)}});
  }
  return way;
}

// As a server runs them: document d joins at call 2d, its first two thirds are a prompt read `chunk` rows a call, then it decodes. Odd calls
// take the documents in the opposite order; `padding` rows of a neighbour stand before each piece.
inline Way mixed(const Documents& documents, int64_t chunk, int64_t padding) {
  Way way{fmt::format("mixed, prompts by {}, padding {}", chunk, padding), {}};
  std::vector<int64_t> done(documents.size());
  const auto finished = [&](size_t d) { return done[d] == int64_t(documents[d].size()); };
  for (size_t call = 0, left = documents.size(); left > 0; ++call) {
    way.calls.emplace_back();
    for (size_t i = 0; i < documents.size(); ++i) {
      const size_t d = call % 2 == 0 ? i : documents.size() - 1 - i;
      if (call < 2 * d || finished(d)) continue;
      const int64_t prompt = int64_t(documents[d].size()) * 2 / 3, rows = done[d] < prompt ? std::min(chunk, prompt - done[d]) : 1;
      if (padding > 0) way.calls.back().push_back({kPadding, padding});
      way.calls.back().push_back({d, rows});
      done[d] += rows;
      left -= finished(d);
    }
  }
  return way;
}

// Ids below the last one of the vocabulary, which is kept for padding.
inline Documents random_documents(const std::vector<int64_t>& lengths, int64_t vocab) {
  Documents documents;
  for (const int64_t length : lengths) {
    documents.emplace_back();
    for (int64_t i = 0; i < length; ++i) {
      const auto words = philox(Stream::kTest, documents.size(), uint64_t(i));
      documents.back().push_back(int64_t(uniform_below(words[0], words[1], uint64_t(vocab - 1))));
    }
  }
  return documents;
}

// What a row predicts: the next id; behind the last one the first.
struct Scores {
  std::vector<int64_t> starts;  // first row of each document, then their sum
  std::vector<float> nll, lse;
};

// How a batch becomes hidden states; the model's forward or a broken form of it.
using Forward = std::function<at::Tensor(const Batch& batch, const ForwardOptions& options)>;
inline Forward forward_of(Transformer& model) {
  return [&model](const Batch& batch, const ForwardOptions& options) { return model.forward(batch, options); };
}

// One run of the documents over a cache of its own. Padding rows are NaN from the embedding on.
class ScoredRun {
 public:
  ScoredRun(Transformer& model, const Documents& documents) : model_(model), documents_(documents), done_(documents.size()) {
    scores_.starts = {0}, first_page_ = {0};
    for (const auto& ids : documents) {
      scores_.starts.push_back(scores_.starts.back() + int64_t(ids.size()));
      first_page_.push_back(first_page_.back() + (int64_t(ids.size()) + kPageTokens - 1) / kPageTokens);
    }
    first_page_.push_back(first_page_.back() + 1);  // padding
    scores_.nll.resize(size_t(scores_.starts.back()), std::numeric_limits<float>::quiet_NaN());
    scores_.lse = scores_.nll;
    model.parameters().value("model.embed_tokens.weight")[padding_id()].fill_(std::numeric_limits<float>::quiet_NaN());
  }

  // after_call: what a break does to the cache; may be null.
  Scores run(const Way& way, const Forward& forward, ForwardOptions options, const std::function<void(KvCache&)>& after_call) {
    const at::NoGradGuard no_grad;
    KvCache cache(model_.config(), first_page_.back(), at::kCPU);
    cache.pages_XLPY.fill_(std::numeric_limits<float>::quiet_NaN());  // what nobody wrote must not be read
    if (way.cached) options.cache = &cache;
    for (const Call& call : way.calls) {
      const auto [batch, targets_T, rows] = batch_of(call, way.cached);
      const HeadLoss loss = head_loss(forward(batch, options), model_.head(), targets_T);
      for (size_t i = 0; i < rows.size(); ++i) {
        if (rows[i] < 0) continue;
        scores_.nll[size_t(rows[i])] = -loss.logprob_T.const_data_ptr<float>()[i];
        scores_.lse[size_t(rows[i])] = loss.lse_T.const_data_ptr<float>()[i];
      }
      if (after_call) after_call(cache);
    }
    return scores_;
  }

 private:
  struct ScoredBatch {
    Batch batch;
    at::Tensor targets_T;
    std::vector<int64_t> rows;  // of the scores; -1: padding
  };

  int64_t padding_id() const { return model_.config().vocab_size - 1; }

  ScoredBatch batch_of(const Call& call, bool cached) {
    ScoredBatch out;
    std::vector<int64_t> tokens, positions, targets;
    for (const Continuation& part : call) {
      const bool padding = part.document == kPadding;
      const size_t d = padding ? documents_.size() : part.document;
      Sequence s;
      s.first_row = int64_t(tokens.size()), s.rows = part.rows, s.cached_tokens = padding ? 0 : done_[d];
      // A document's pages from the highest down: neighbours in the sequence are none in memory.
      for (int64_t page = first_page_[d + 1]; cached && page > first_page_[d]; --page) s.pages.push_back(int32_t(page - 1));
      if (s.cached_tokens > 0) s.keys.push_back({KeySegment::Where::kCache, 0, s.cached_tokens});
      s.keys.push_back({KeySegment::Where::kBatch, s.first_row, s.rows});
      for (int64_t i = s.cached_tokens; i < s.cached_tokens + s.rows; ++i) {
        tokens.push_back(padding ? padding_id() : documents_[d][size_t(i)]);
        positions.push_back(i);
        targets.push_back(padding ? -1 : documents_[d][size_t(i + 1) % documents_[d].size()]);
        out.rows.push_back(padding ? -1 : scores_.starts[d] + i);
      }
      if (!padding) done_[d] += s.rows;
      out.batch.sequences.push_back(std::move(s));
    }
    out.batch.tokens_T = at::tensor(tokens, at::kLong);
    out.batch.positions_T = at::tensor(positions, at::kLong);
    out.targets_T = at::tensor(targets, at::kLong);
    return out;
  }

  Transformer& model_;
  const Documents& documents_;
  std::vector<int64_t> done_, first_page_;
  Scores scores_;
};

inline Scores run_scored(Transformer& model, const Documents& documents, const Way& way) {
  ForwardOptions options;
  options.algebra = MlaAlgebra::kAbsorbed;
  return ScoredRun(model, documents).run(way, forward_of(model), options, {});
}

// Empty when every token has the same bits in both; otherwise how many differ, by how much, and the first.
inline std::string difference(const Scores& a, const Scores& b) {
  const auto same = [](float x, float y) { return std::bit_cast<uint32_t>(x) == std::bit_cast<uint32_t>(y); };
  size_t count = 0, first = 0;
  float worst = 0;
  for (size_t i = a.nll.size(); i-- > 0;) {
    if (same(a.nll[i], b.nll[i]) && same(a.lse[i], b.lse[i])) continue;
    ++count, first = i;
    worst = std::max(worst, std::abs(a.nll[i] - b.nll[i]));
  }
  if (count == 0) return "";
  const size_t document = size_t(std::upper_bound(a.starts.begin(), a.starts.end(), int64_t(first)) - a.starts.begin()) - 1;
  return fmt::format("{} of {} tokens differ, by {:.1e} at most; first document {}, token {}: log-prob {} and {}", count, a.nll.size(),
                     worst, document, int64_t(first) - a.starts[document], -a.nll[first], -b.nll[first]);
}

}  // namespace finback::test
