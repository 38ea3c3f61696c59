#include "model/row_probe.h"

#include <ATen/ATen.h>

#include "kernels/backend.h"
#include "kernels/embedding.h"
#include "kernels/head_loss.h"
#include "kernels/latent_attention.h"
#include "kernels/linear.h"
#include "kernels/mla_attention.h"
#include "kernels/permute.h"
#include "kernels/quantized_linear.h"
#include "kernels/rms_norm.h"
#include "kernels/rope.h"
#include "kernels/router.h"
#include "kernels/swiglu.h"

namespace finback {
namespace {

using Visit = std::function<void(const std::string& name, const RowOp& op)>;

// kProbedRows is past one block of 64 keys and several register tiles, a multiple of nothing; so are these.
constexpr int64_t kTokens = kProbedRows, kD = 166, kW = 53, kHeads = 3;
const uint64_t kStamp = 1;  // weights that never change

// Numbers from -1 to 1, none of them 0, without a pattern that a sum could hide behind.
at::Tensor numbers(at::IntArrayRef sizes, double step) {
  return at::arange(1, 1 + c10::multiply_integers(sizes), at::TensorOptions().dtype(at::kDouble))
      .mul_(step)
      .sin_()
      .to(at::kFloat)
      .view(sizes);
}

// Ids below `count`, the same few again and again.
at::Tensor ids(int64_t count) { return at::arange(kTokens, at::TensorOptions().dtype(at::kLong)).remainder(count); }

at::Tensor rows_of(const at::Tensor& x, int64_t first, int64_t rows) { return x.slice(0, first, first + rows); }

bool same_bits(const at::Tensor& a, const at::Tensor& b) { return at::equal(a.contiguous().view(at::kInt), b.contiguous().view(at::kInt)); }

void visit_row_by_row_ops(const Visit& visit) {
  const at::Tensor x_TD = numbers({kTokens, kD}, 0.7), more_TD = numbers({kTokens, kD}, 0.6), norm_D = numbers({kD}, 0.3), none;
  const at::Tensor embedding_WD = numbers({kW, kD}, 0.9), tokens_T = ids(kW), positions_T = ids(kTokens);
  const at::Tensor rotated_THR = numbers({kTokens, kHeads, 18}, 1.1), cos_sin_SR = numbers({kTokens, 18}, 0.4);
  RouterOptions router;
  router.num_experts_per_tok = 3;
  visit("embedding", [&](int64_t first, int64_t rows) { return finback::embedding(rows_of(tokens_T, first, rows), embedding_WD); });
  visit("rms_norm", [&](int64_t first, int64_t rows) { return rms_norm(rows_of(x_TD, first, rows), norm_D, 1e-6).y_TD; });
  visit("add_rms_norm_", [&](int64_t first, int64_t rows) {
    return add_rms_norm_(rows_of(x_TD, first, rows).clone(), rows_of(more_TD, first, rows), norm_D, 1e-6).y_TD;
  });
  visit("rope_", [&](int64_t first, int64_t rows) {
    const at::Tensor x_THR = rows_of(rotated_THR, first, rows).clone();
    rope_(x_THR, rows_of(positions_T, first, rows), cos_sin_SR, /*rotate_half=*/false, /*inverse=*/false);
    return x_THR;
  });
  visit("swiglu", [&](int64_t first, int64_t rows) { return swiglu(rows_of(x_TD, first, rows)); });
  visit("route", [&](int64_t first, int64_t rows) { return route(rows_of(x_TD, first, rows), none, router).weights_TK; });
}

void visit_linears(const Visit& visit) {
  const at::Tensor x_TD = numbers({kTokens, kD}, 0.7), w_WD = numbers({kW, kD}, 0.9), targets_T = ids(kW), none;
  const at::Tensor x_THK = numbers({kTokens, kHeads, 35}, 0.8), w_HKK = numbers({kHeads, 35, 35}, 1.2);
  const PackedWeight weight = prepared(w_WD, &kStamp), heads = prepared(w_HKK, &kStamp);
  visit("linear", [&](int64_t first, int64_t rows) { return linear(rows_of(x_TD, first, rows), weight); });
  visit("heads_linear", [&](int64_t first, int64_t rows) { return heads_linear(rows_of(x_THK, first, rows), heads); });
  visit("heads_linear_t", [&](int64_t first, int64_t rows) { return heads_linear_t(rows_of(x_THK, first, rows), heads); });
  visit("head_loss", [&](int64_t first, int64_t rows) {
    return head_loss(rows_of(x_TD, first, rows), weight, rows_of(targets_T, first, rows)).logprob_T;
  });
  for (const Precision precision : {Precision::kBf16, Precision::kFp8}) {
    const PackedWeight quantized = prepared(w_WD, &kStamp, precision);
    visit(precision_name(precision) + " linear", [&](int64_t first, int64_t rows) {
      return quantized_linear(quantize_rows(rows_of(x_TD, first, rows), precision), quantized, one_group(rows));
    });
  }
  for (const Precision storage : {Precision::kBf16, Precision::kFp8, Precision::kInt8}) {
    const StoredWeight stored = store_weight(w_WD, storage);
    visit("linear stored in " + precision_name(storage),
          [&](int64_t first, int64_t rows) { return linear(rows_of(x_TD, first, rows), stored); });
  }
}

// Rows go to experts by their own routes, so another batch puts a row among others, at another place of its expert.
void visit_expert_ops(const Visit& visit) {
  constexpr int64_t kExperts = 4;
  const at::Tensor x_TD = numbers({kTokens, kD}, 0.7), more_TD = numbers({kTokens, kD}, 0.6), w_EWD = numbers({kExperts, kW, kD}, 0.9);
  const at::Tensor weights_TK = numbers({kTokens, 2}, 0.5), routes_TK = at::stack({ids(kExperts), ids(3).add(1).remainder(kExperts)}, 1);
  const PackedWeight weight = prepared(w_EWD, &kStamp);
  const auto permutation = [&](int64_t first, int64_t rows) { return make_permutation(rows_of(routes_TK, first, rows), kExperts); };
  const auto first_choices = [](const at::Tensor& y_SD, const TokenPermutation& p) {
    return y_SD.index_select(0, p.permuted_rows_TK.select(1, 0));
  };
  visit("permute", [&](int64_t first, int64_t rows) {
    const TokenPermutation p = permutation(first, rows);
    return first_choices(permute(rows_of(x_TD, first, rows), p.sorted_token_ids_S), p);
  });
  visit("grouped_linear", [&](int64_t first, int64_t rows) {
    const TokenPermutation p = permutation(first, rows);
    return first_choices(grouped_linear(rows_of(x_TD, first, rows).index_select(0, p.sorted_token_ids_S), weight, p.expert_offsets_E1), p);
  });
  for (const Precision precision : {Precision::kBf16, Precision::kFp8}) {
    const PackedWeight quantized = prepared(w_EWD, &kStamp, precision);
    visit(precision_name(precision) + " grouped_linear", [&](int64_t first, int64_t rows) {
      const TokenPermutation p = permutation(first, rows);
      RowGroups groups;
      groups.offsets = p.expert_offsets_E1, groups.source_rows_S = p.sorted_token_ids_S;
      return first_choices(quantized_linear(quantize_rows(rows_of(x_TD, first, rows), precision), quantized, groups), p);
    });
  }
  visit("unpermute", [&](int64_t first, int64_t rows) {
    const TokenPermutation p = permutation(first, rows);
    const at::Tensor y_SD = rows_of(x_TD, first, rows).index_select(0, p.sorted_token_ids_S);
    return unpermute(y_SD, rows_of(weights_TK, first, rows), p.permuted_rows_TK,
                     {rows_of(more_TD, first, rows), rows_of(x_TD, first, rows)});
  });
}

void visit_attentions(const Visit& visit) {
  const at::Tensor q_THY = numbers({kTokens, kHeads, 57}, 1.1), latents_TY = numbers({kTokens, 57}, 1.3);
  const at::Tensor kv_THY = numbers({kTokens, kHeads, 39 + 21}, 0.8), k_rope_TR = numbers({kTokens, 18}, 0.4);
  // Rows of one document to all its latents up to each.
  visit("latent_attention", [&](int64_t first, int64_t rows) {
    LatentKeys keys;
    keys.self_TY = latents_TY;
    keys.row_starts_B1 = at::tensor({int64_t(0), rows}, at::kLong), keys.cached_B = at::zeros({1}, at::kLong);
    keys.segment_starts_B1 = at::tensor({0, 1}, at::kLong),
    keys.segments_G2 = at::tensor({int64_t(0), first + rows}, at::kLong).view({1, 2});
    return latent_attention(rows_of(q_THY, first, rows), keys, 40, 0.2).o_THC;
  });
  // Two packed documents, of 9 rows and the rest: a row is computed from its document's start, without the other one and without what follows.
  visit("mla_attention", [&](int64_t first, int64_t rows) {
    const int64_t start = first < 9 ? 0 : 9, count = first + rows - start;
    std::vector<int64_t> starts = {0, count};
    if (start == 0 && count > 9) starts.insert(starts.begin() + 1, 9);
    const auto cut = [&](const at::Tensor& x) { return rows_of(x, start, count); };
    return rows_of(mla_attention({cut(q_THY), cut(kv_THY), cut(k_rope_TR), at::tensor(starts), 0.2}).o_THV, first - start, rows);
  });
}

}  // namespace

bool rows_depend_on_batch(int64_t tokens, const RowOp& op) {
  const at::Tensor all = op(0, tokens);
  const int64_t parts[][2] = {{0, 1}, {tokens - 1, 1}, {tokens / 2, 7}, {0, tokens - 1}};
  for (const auto& [first, rows] : parts) {
    if (!same_bits(op(first, rows), rows_of(all, first, rows))) return true;
  }
  return false;
}

void visit_row_ops(const Visit& visit) {
  visit_row_by_row_ops(visit);
  visit_linears(visit);
  visit_expert_ops(visit);
  visit_attentions(visit);
}

std::vector<std::string> row_dependent_ops() {
  std::vector<std::string> dependent;
  visit_row_ops([&](const std::string& name, const RowOp& op) {
    if (rows_depend_on_batch(kTokens, op)) dependent.push_back(name);
  });
  return dependent;
}

MachineProbe probe_machine(const at::Device& device) {
  MachineProbe probe = measure_machine(kernel_label_on(device), c10::DeviceTypeName(device.type(), /*lower_case=*/true));
  if (device.is_cpu()) probe.row_dependent = row_dependent_ops();
  return probe;
}

}  // namespace finback
