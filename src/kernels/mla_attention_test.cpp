// Against the reference and its autograd; bits against other packings and thread counts. On every instruction set this machine runs.
#include "kernels/mla_attention.h"

#include "kernels/op_check.h"

namespace finback {
namespace {

struct MlaAttentionCase {
  int64_t heads, n, r, v;
  std::vector<int64_t> lengths;  // of the documents
};

struct MlaAttentionInputs {
  at::Tensor q_THX, kv_THY, k_rope_TR, do_THV;
  std::vector<int64_t> starts_B1;
  double scale;
  MlaInputs mla() const { return {q_THX, kv_THY, k_rope_TR, at::tensor(starts_B1), scale}; }
  MlaInputs in_doubles() const {
    return {q_THX.to(at::kDouble), kv_THY.to(at::kDouble), k_rope_TR.to(at::kDouble), at::tensor(starts_B1), scale};
  }
};

std::vector<int64_t> starts_of(const std::vector<int64_t>& lengths) {
  std::vector<int64_t> starts = {0};
  for (const int64_t length : lengths) starts.push_back(starts.back() + length);
  return starts;
}

MlaAttentionInputs make(const MlaAttentionCase& c) {
  const std::vector<int64_t> starts = starts_of(c.lengths);
  const int64_t tokens = starts.back();
  return {normal({tokens, c.heads, c.n + c.r}, 1),
          normal({tokens, c.heads, c.n + c.v}, 2),
          normal({tokens, c.r}, 3),
          normal({tokens, c.heads, c.v}, 4),
          starts,
          1 / std::sqrt(double(c.n + c.r))};
}

const std::vector<MlaAttentionCase>& mla_attention_cases() {
  static const std::vector<MlaAttentionCase> list = {
      {2, 16, 8, 16, {}},          {1, 4, 2, 3, {1}},           {2, 16, 8, 16, {7, 1, 13}}, {8, 32, 16, 32, {63, 64, 65}},
      {3, 5, 2, 7, {97, 31, 2}},   {2, 32, 16, 32, {257}},      {2, 128, 64, 128, {100}},   {2, 8, 4, 33, std::vector<int64_t>(23, 3)},
      {1, 24, 8, 40, {0, 129, 0}}, {2, 64, 32, 64, {128, 192}},
  };
  return list;
}

MlaAttention forward(const MlaAttentionInputs& x) { return mla_attention(x.mla()); }
MlaAttentionGrad backward(const MlaAttentionInputs& x, const MlaAttention& saved) {
  return mla_attention_backward(x.do_THV, x.mla(), saved);
}

TEST(MlaAttention, MatchesTheReferenceAndItsGradients) {
  for (const MlaAttentionCase& c : mla_attention_cases()) {
    const MlaAttentionInputs x = make(c);
    select_kernels("ref");
    const MlaAttention exact = mla_attention(x.in_doubles());
    const MlaAttentionGrad exact_grad = mla_attention_backward(x.do_THV.to(at::kDouble), x.in_doubles(), exact);
    const int64_t longest = c.lengths.empty() ? 0 : *std::max_element(c.lengths.begin(), c.lengths.end()),
                  terms = longest + c.n + c.r + c.v;
    for_each_variant([&] {
      const std::string what = fmt::format("H{} {}+{}/{} T{}", c.heads, c.n, c.r, c.v, x.starts_B1.back());
      const MlaAttention out = forward(x);
      EXPECT_TRUE(out.o_THV.is_contiguous() && out.lse_TH.is_contiguous());
      expect_close(out.o_THV, exact.o_THV, terms, what + " o");
      expect_close(out.lse_TH, exact.lse_TH, terms, what + " lse");
      const MlaAttentionGrad grad = backward(x, out);
      expect_close(grad.dq_THX, exact_grad.dq_THX, terms, what + " dq");
      expect_close(grad.dkv_THY, exact_grad.dkv_THY, terms, what + " dkv");
      expect_close(grad.dk_rope_TR, exact_grad.dk_rope_TR, terms * c.heads, what + " dk_rope");
    });
  }
}

TEST(MlaAttention, KeepsItsPrecisionWhenScoresAreLarge) {
  MlaAttentionInputs x = make({2, 16, 8, 16, {150}});
  x.scale = 20;  // scores up to a few hundred: exp without the running maximum would overflow
  const MlaAttention exact = mla_attention_ref(x.in_doubles());
  for_each_variant([&] {
    expect_close(forward(x).o_THV, exact.o_THV, 150 * 400);  // an epsilon of the score is a relative error of p
  });
}

// Column slices of wider tensors, and a transposed gradient.
TEST(MlaAttention, AcceptsStridedInputs) {
  const MlaAttentionInputs x = make({4, 16, 8, 16, {70, 5}});
  MlaAttentionInputs strided = x;
  strided.q_THX = at::cat({x.q_THX, at::full({75, 4, 3}, NAN)}, 2).slice(2, 0, 24);
  strided.kv_THY = at::cat({x.kv_THY, at::full({75, 4, 5}, NAN)}, 2).slice(2, 0, 32);
  strided.k_rope_TR = at::cat({at::full({75, 2}, NAN), x.k_rope_TR}, 1).slice(1, 2);
  strided.do_THV = x.do_THV.transpose(1, 2).contiguous().transpose(1, 2);
  for_each_variant([&] {
    const MlaAttention out = forward(x), out_strided = forward(strided);
    EXPECT_TRUE(same_bits(out.o_THV, out_strided.o_THV) && same_bits(out.lse_TH, out_strided.lse_TH));
    const MlaAttentionGrad grad = backward(x, out), grad_strided = backward(strided, out_strided);
    EXPECT_TRUE(same_bits(grad.dq_THX, grad_strided.dq_THX) && same_bits(grad.dkv_THY, grad_strided.dkv_THY));
    EXPECT_TRUE(same_bits(grad.dk_rope_TR, grad_strided.dk_rope_TR));
  });
}

// Forward and all gradients of rows [begin, end) of one packing, side by side.
struct Everything {
  std::vector<at::Tensor> parts;
  explicit Everything(const MlaAttentionInputs& x, int64_t begin, int64_t end) {
    const MlaAttention out = forward(x);
    const MlaAttentionGrad grad = backward(x, out);
    for (const at::Tensor& t : {out.o_THV, out.lse_TH, grad.dq_THX, grad.dkv_THY, grad.dk_rope_TR}) parts.push_back(t.slice(0, begin, end));
  }
  bool operator==(const Everything& other) const {
    for (size_t i = 0; i < parts.size(); ++i) {
      if (!same_bits(parts[i], other.parts[i])) return false;
    }
    return true;
  }
};

MlaAttentionInputs rows_of(const MlaAttentionInputs& x, int64_t begin, int64_t end) {
  return {x.q_THX.slice(0, begin, end),
          x.kv_THY.slice(0, begin, end),
          x.k_rope_TR.slice(0, begin, end),
          x.do_THV.slice(0, begin, end),
          {0, end - begin},
          x.scale};
}

TEST(MlaAttention, GivesADocumentTheSameBitsAloneAndInAnyBatch) {
  const MlaAttentionInputs x = make({8, 32, 16, 32, {65, 130, 1, 300}});
  MlaAttentionInputs swapped = x;  // the last document first
  for (at::Tensor* t : {&swapped.q_THX, &swapped.kv_THY, &swapped.k_rope_TR, &swapped.do_THV})
    *t = at::cat({t->slice(0, 196), t->slice(0, 0, 196)});
  swapped.starts_B1 = {0, 300, 365, 495, 496};
  for_each_variant([&] {
    for (const auto& [begin, end] : {std::pair<int64_t, int64_t>{0, 65}, {65, 195}, {195, 196}, {196, 496}}) {
      const Everything packed(x, begin, end), alone(rows_of(x, begin, end), 0, end - begin);
      EXPECT_TRUE(packed == alone) << " document at " << begin;
      const int64_t moved = begin == 196 ? 0 : begin + 300;
      EXPECT_TRUE(packed == Everything(swapped, moved, moved + end - begin)) << " document at " << begin;
    }
  });
}

TEST(MlaAttention, GivesARowTheSameBitsWhateverComesAfterIt) {
  const MlaAttentionInputs x = make({4, 16, 8, 16, {200}});
  for_each_variant([&] {
    const MlaAttention whole = forward(x);
    for (const int64_t rows : {1, 5, 63, 64, 65, 131}) {
      const MlaAttention prefix = forward(rows_of(x, 0, rows));
      EXPECT_TRUE(same_bits(prefix.o_THV, whole.o_THV.slice(0, 0, rows)) && same_bits(prefix.lse_TH, whole.lse_TH.slice(0, 0, rows)))
          << rows << " rows";
    }
  });
}

TEST(MlaAttention, GivesTheSameBitsOnOneAndTwoThreads) {
  const MlaAttentionInputs x = make({5, 32, 16, 32, {300, 90, 17}});
  for_each_variant([&] {
    set_threads(1);
    const Everything one(x, 0, 407);
    set_threads(2);
    EXPECT_TRUE(one == Everything(x, 0, 407));
  });
}

}  // namespace
}  // namespace finback
