// The whole model and its loss once more, in f64, as plain ATen operations with autograd leaves: what the hand-written passes are judged
// against. Reads no code of mla, moe, mtp or lm_loss. Slow; test code only.
#pragma once
#include <ATen/ATen.h>

#include <cmath>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "model/rope_table.h"
#include "model/test_models.h"

namespace finback::test {

class PlainModel {
 public:
  explicit PlainModel(const Transformer& model) : c_(model.config()) {
    const Parameters& parameters = model.parameters();
    for (const ParameterSpec& spec : parameters.specs())
      leaves_[spec.name] = parameters.value(spec.name).to(at::kDouble).clone().requires_grad_(true);
    for (const ParameterSpec& spec : parameters.buffers()) biases_[spec.name] = parameters.buffer(spec.name).to(at::kDouble);
  }
  const at::Tensor& leaf(const std::string& name) const { return leaves_.at(name); }
  at::Tensor head() const { return c_.tie_word_embeddings ? leaf("model.embed_tokens.weight") : leaf("lm_head.weight"); }

  // The loss of packed documents that attend to themselves, by the definition of lm_loss.h; fills logits_TW and mtp_logits.
  at::Tensor loss(const PackedDocuments& rows, const LossInputs& in) {
    scores_.clear(), chosen_.clear(), starts_ = rows.batch.balance_starts;
    at::Tensor total = at::zeros({}, at::kDouble);
    std::vector<at::Tensor> hidden;  // by document
    for (const Sequence& s : rows.batch.sequences) {
      at::Tensor x = leaf("model.embed_tokens.weight").index_select(0, rows.batch.tokens_T.slice(0, s.first_row, s.first_row + s.rows));
      for (int64_t layer = 0; layer < c_.num_hidden_layers; ++layer) x = block(x, layer, 0);
      hidden.push_back(rms(x, "model.norm", c_.rms_norm_eps));
    }
    const at::Tensor h = at::cat(hidden, 0);
    logits_TW = at::matmul(h, head().t());
    const at::Tensor lse = at::logsumexp(logits_TW, {1}).index({rows.targets_T.ge(0)});
    total = total + nll_sum(logits_TW, rows.targets_T) / in.main_denominator + in.z_loss * (lse * lse).sum() / in.main_denominator;
    total = total + mtp_loss(rows, in, hidden);
    return total + in.forward.balance_scale * balance(rows);
  }

  at::Tensor logits_TW;
  std::vector<at::Tensor> mtp_logits;

 private:
  at::Tensor rms(const at::Tensor& x, const std::string& name, double eps) const {
    return x * (x * x).mean(-1, true).add(eps).rsqrt() * leaf(name + ".weight");
  }
  at::Tensor lin(const at::Tensor& x, const std::string& name) const { return at::matmul(x, leaf(name + ".weight").t()); }

  // x [T, H, R] by positions first..first + T - 1.
  at::Tensor rope(const at::Tensor& x, int64_t first) const {
    const std::vector<float> inv = rope_inv_freq(c_);
    const at::Tensor freq = at::tensor(std::vector<double>(inv.begin(), inv.end()), at::kDouble);
    const at::Tensor angle = (at::arange(first, first + x.size(0), at::kDouble).unsqueeze(1) * freq).unsqueeze(1);
    const at::Tensor turn = at::polar(at::ones_like(angle), angle);
    const int64_t half = x.size(-1) / 2;
    if (c_.rope_interleave) return at::view_as_real(at::view_as_complex(x.reshape({x.size(0), x.size(1), half, 2})) * turn).flatten(-2);
    const at::Tensor z = at::complex(x.slice(-1, 0, half), x.slice(-1, half)) * turn;
    return at::cat({at::real(z), at::imag(z)}, -1);
  }

  at::Tensor attention(const at::Tensor& n, const std::string& p, int64_t first) const {
    const int64_t t = n.size(0), h = c_.num_attention_heads, nope = c_.qk_nope_head_dim, r = c_.qk_rope_head_dim, v = c_.v_head_dim,
                  c = c_.kv_lora_rank;
    const at::Tensor q =
        (c_.q_lora_rank ? lin(rms(lin(n, p + "q_a_proj"), p + "q_a_layernorm", 1e-6), p + "q_b_proj") : lin(n, p + "q_proj"))
            .view({t, h, nope + r});
    const at::Tensor kv_a = lin(n, p + "kv_a_proj_with_mqa");
    const at::Tensor kv = lin(rms(kv_a.slice(1, 0, c), p + "kv_a_layernorm", 1e-6), p + "kv_b_proj").view({t, h, nope + v});
    const at::Tensor k_rope = rope(kv_a.slice(1, c).unsqueeze(1), first).expand({t, h, r});
    const at::Tensor qs = at::cat({q.slice(2, 0, nope), rope(q.slice(2, nope), first)}, 2).transpose(0, 1);
    const at::Tensor ks = at::cat({kv.slice(2, 0, nope), k_rope}, 2).transpose(0, 1);
    const at::Tensor future = at::ones({t, t}, at::kBool).triu(1);
    const at::Tensor scores =
        (at::matmul(qs, ks.transpose(1, 2)) * c_.softmax_scale()).masked_fill(future, -std::numeric_limits<double>::infinity());
    return lin(at::matmul(at::softmax(scores, -1), kv.slice(2, nope).transpose(0, 1)).transpose(0, 1).reshape({t, h * v}), p + "o_proj");
  }

  at::Tensor mlp(const at::Tensor& n, const std::string& p) const {
    return lin(at::silu(lin(n, p + "gate_proj")) * lin(n, p + "up_proj"), p + "down_proj");
  }

  // The experts of one token, in words: best groups, best experts among them by biased score, weights from the bare scores.
  std::vector<int64_t> choose(const at::Tensor& biased_E) const {
    const bool v3 = c_.topk_method == "noaux_tc", grouped = c_.topk_method != "greedy";
    const int64_t groups = grouped ? c_.n_group : 1, size = c_.n_routed_experts / groups;
    const at::Tensor by_group = biased_E.view({groups, size});
    const at::Tensor worth = v3 ? std::get<0>(by_group.topk(std::min<int64_t>(2, size), 1)).sum(1) : std::get<0>(by_group.max(1));
    const at::Tensor kept = std::get<1>(worth.topk(grouped ? c_.topk_group : 1));
    at::Tensor open = at::full_like(by_group, -std::numeric_limits<double>::infinity());
    for (int64_t i = 0; i < kept.size(0); ++i) open[kept[i].item<int64_t>()].copy_(by_group[kept[i].item<int64_t>()]);
    const at::Tensor best = std::get<1>(open.view({-1}).topk(c_.num_experts_per_tok));
    return {best.const_data_ptr<int64_t>(), best.const_data_ptr<int64_t>() + best.numel()};
  }

  at::Tensor moe(const at::Tensor& n, const std::string& p, int64_t layer) {
    const at::Tensor logits = lin(n, p + "gate"), scores = c_.scoring_func == "sigmoid" ? at::sigmoid(logits) : at::softmax(logits, -1);
    const at::Tensor bias =
        c_.has_expert_bias() ? biases_.at(p + "gate.e_score_correction_bias") : at::zeros({c_.n_routed_experts}, at::kDouble);
    std::vector<at::Tensor> rows;
    for (int64_t t = 0; t < n.size(0); ++t) {
      const std::vector<int64_t> ids = choose((scores[t] + bias).detach());
      at::Tensor w = scores[t].index_select(0, at::tensor(ids, at::kLong));
      if (c_.norm_topk_prob) w = w / (w.sum() + 1e-20);
      at::Tensor y = at::zeros({c_.hidden_size}, at::kDouble);
      for (size_t k = 0; k < ids.size(); ++k) {
        y = y + w[int64_t(k)] * c_.routed_scaling_factor * mlp(n[t], fmt::format("{}experts.{}.", p, ids[k]));
        chosen_[layer].push_back(ids[k]);
      }
      rows.push_back(y);
    }
    scores_[layer].push_back(scores);
    const at::Tensor routed = at::stack(rows);
    return c_.n_shared_experts > 0 ? routed + mlp(n, p + "shared_experts.") : routed;
  }

  at::Tensor block(at::Tensor x, int64_t layer, int64_t first) {
    const std::string p = fmt::format("model.layers.{}.", layer);
    x = x + attention(rms(x, p + "input_layernorm", c_.rms_norm_eps), p + "self_attn.", first);
    const at::Tensor n = rms(x, p + "post_attention_layernorm", c_.rms_norm_eps);
    return x + (c_.is_moe_layer(layer) ? moe(n, p + "mlp.", layer) : mlp(n, p + "mlp."));
  }

  static at::Tensor nll_sum(const at::Tensor& logits, const at::Tensor& targets) {
    return at::cross_entropy_loss(logits, targets, {}, at::Reduction::Sum, -1);
  }

  at::Tensor mtp_loss(const PackedDocuments& rows, const LossInputs& in, std::vector<at::Tensor> hidden) {
    at::Tensor total = at::zeros({}, at::kDouble);
    mtp_logits.clear();
    for (int64_t k = 0; k < c_.num_nextn_predict_layers && in.mtp_lambda != 0; ++k) {
      const std::string p = fmt::format("model.layers.{}.", c_.num_hidden_layers + k);
      at::Tensor sum = at::zeros({}, at::kDouble);
      for (size_t b = 0; b < hidden.size(); ++b) {
        const Sequence& s = rows.batch.sequences[b];
        const int64_t left = s.rows - 1 - k;
        if (left <= 0) continue;
        const at::Tensor tokens = rows.batch.tokens_T.slice(0, s.first_row + k + 1, s.first_row + s.rows);
        const at::Tensor e = leaf("model.embed_tokens.weight").index_select(0, tokens);
        const at::Tensor joined =
            at::cat({rms(e, p + "enorm", c_.rms_norm_eps), rms(hidden[b].slice(0, 0, left), p + "hnorm", c_.rms_norm_eps)}, 1);
        hidden[b] = rms(block(lin(joined, p + "eh_proj"), c_.num_hidden_layers + k, 0), p + "shared_head.norm", c_.rms_norm_eps);
        mtp_logits.push_back(at::matmul(hidden[b], head().t()));
        sum = sum + nll_sum(mtp_logits.back(), rows.targets_T.slice(0, s.first_row + k + 1, s.first_row + s.rows));
      }
      total = total + in.mtp_lambda / double(c_.num_nextn_predict_layers) * sum / std::max(1.0, in.mtp_denominators[size_t(k)]);
    }
    return total;
  }

  // Sum over MoE layers and balance rows; a balance row of this reference is exactly one document.
  at::Tensor balance(const PackedDocuments& rows) const {
    at::Tensor total = at::zeros({}, at::kDouble);
    if (starts_.empty()) return total;
    for (const auto& [layer, by_document] : scores_) {
      size_t at = 0;
      for (const at::Tensor& scores : by_document) {
        const int64_t t = scores.size(0), k = c_.num_experts_per_tok;
        at::Tensor counts = at::zeros({c_.n_routed_experts}, at::kDouble);
        for (int64_t i = 0; i < t * k; ++i) counts[chosen_.at(layer)[at++]] += 1;
        const at::Tensor share = (scores / scores.sum(-1, true)).mean(0);
        total = total + (counts * double(c_.n_routed_experts) / double(k * t) * share).sum();
      }
    }
    return total;
  }

  ModelConfig c_;
  std::map<std::string, at::Tensor> leaves_, biases_;
  std::map<int64_t, std::vector<at::Tensor>> scores_;
  std::map<int64_t, std::vector<int64_t>> chosen_;
  std::vector<int64_t> starts_;
};

}  // namespace finback::test
