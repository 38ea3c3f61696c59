#include "kernels/row_probe.h"

#include <ATen/ATen.h>

#include "kernels/head_loss.h"
#include "kernels/latent_attention.h"
#include "kernels/linear.h"
#include "kernels/narrow_linear.h"
#include "kernels/rms_norm.h"
#include "kernels/router.h"
#include "kernels/swiglu.h"

namespace finback {
namespace {

// Past one block of 64 keys and several register tiles, a multiple of nothing.
constexpr int64_t kTokens = 79;

// Numbers from -1 to 1 without a pattern that a sum could hide behind.
at::Tensor numbers(at::IntArrayRef sizes, double step) {
  return at::arange(c10::multiply_integers(sizes), at::TensorOptions().dtype(at::kDouble)).mul_(step).sin_().to(at::kFloat).view(sizes);
}

bool same_bits(const at::Tensor& a, const at::Tensor& b) { return at::equal(a.contiguous().view(at::kInt), b.contiguous().view(at::kInt)); }

// Attention of rows of one document to all its latents up to each.
at::Tensor attention(const at::Tensor& q_THY, const at::Tensor& latents_TY, int64_t first, int64_t rows) {
  LatentKeys keys;
  keys.self_TY = latents_TY;
  for (int64_t key = 0; key < first + rows; ++key) keys.key_rows.push_back(-1 - key);
  keys.key_starts = {0, first + rows}, keys.row_starts = {0, rows};
  return latent_attention(q_THY.slice(0, first, first + rows), keys, 40, 0.2).o_THC;
}

at::Tensor narrow_product(const at::Tensor& x_TD, const PackedWeight& weight) {
  return narrow_linear(narrow_rows(x_TD, weight.precision()), weight, one_group(x_TD.size(0)));
}

}  // namespace

bool rows_depend_on_batch(int64_t tokens, const RowOp& op) {
  const at::Tensor all = op(0, tokens);
  const int64_t parts[][2] = {{0, 1}, {tokens - 1, 1}, {tokens / 2, 7}, {0, tokens - 1}};
  for (const auto& [first, rows] : parts) {
    if (!same_bits(op(first, rows), all.slice(0, first, first + rows))) return true;
  }
  return false;
}

std::vector<std::string> row_dependent_ops() {
  const uint64_t stamp = 1;
  const at::Tensor x_TD = numbers({kTokens, 166}, 0.7), norm_D = numbers({166}, 0.3), q_THY = numbers({kTokens, 3, 57}, 1.1);
  const at::Tensor latents_TY = numbers({kTokens, 57}, 1.3), none;
  const at::Tensor w_WD = numbers({53, 166}, 0.9);
  const PackedWeight weight(w_WD, &stamp), bf16(w_WD, &stamp, Precision::kBf16), fp8(w_WD, &stamp, Precision::kFp8);
  RouterOptions router;
  router.num_experts_per_tok = 3;
  const auto rows_of_x = [&](int64_t first, int64_t rows) { return x_TD.slice(0, first, first + rows); };
  const at::Tensor targets_T = at::arange(kTokens, at::TensorOptions().dtype(at::kLong)).remainder(53);
  const std::pair<const char*, RowOp> ops[] = {
      {"linear", [&](int64_t first, int64_t rows) { return linear(rows_of_x(first, rows), weight); }},
      {"bf16 linear", [&](int64_t first, int64_t rows) { return narrow_product(rows_of_x(first, rows), bf16); }},
      {"fp8 linear", [&](int64_t first, int64_t rows) { return narrow_product(rows_of_x(first, rows), fp8); }},
      {"rms_norm", [&](int64_t first, int64_t rows) { return rms_norm(rows_of_x(first, rows), norm_D, 1e-6).y_TD; }},
      {"swiglu", [&](int64_t first, int64_t rows) { return swiglu(rows_of_x(first, rows)); }},
      {"route", [&](int64_t first, int64_t rows) { return route(rows_of_x(first, rows), none, router).weights_TK; }},
      {"latent_attention", [&](int64_t first, int64_t rows) { return attention(q_THY, latents_TY, first, rows); }},
      {"head_loss",
       [&](int64_t first, int64_t rows) {
         return head_loss(rows_of_x(first, rows), weight, targets_T.slice(0, first, first + rows), none, 1, 0).nll_T;
       }},
  };
  std::vector<std::string> dependent;
  for (const auto& [name, op] : ops) {
    if (rows_depend_on_batch(kTokens, op)) dependent.push_back(name);
  }
  return dependent;
}

}  // namespace finback
