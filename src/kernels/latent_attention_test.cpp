// Against the reference and its autograd; bits against other chunks, batches, threads and homes of a key. On every instruction set here.
#include "kernels/latent_attention.h"

#include "kernels/op_check.h"

namespace finback {
namespace {

// A sequence: `rows` new tokens after `cached` ones.
struct LatentAttentionSequence {
  int64_t cached, rows;
};
struct LatentAttentionCase {
  int64_t heads, c, r;
  std::vector<LatentAttentionSequence> sequences;
};

struct LatentAttentionInputs {
  at::Tensor q_THY, do_THC;
  LatentKeys keys;
  int64_t c;
  double scale;
};

// Cached keys lie in the pool back to front (nothing is consecutive), new ones in self_TY.
LatentAttentionInputs make(const LatentAttentionCase& c) {
  const int64_t y = c.c + c.r;
  LatentAttentionInputs x;
  x.c = c.c, x.scale = 1 / std::sqrt(double(y));
  x.keys.key_starts = x.keys.row_starts = {0};
  int64_t cached = 0;
  for (const LatentAttentionSequence& s : c.sequences) cached += s.cached;
  int64_t pool_row = cached, self_row = 0;
  for (const LatentAttentionSequence& s : c.sequences) {
    for (int64_t i = 0; i < s.cached; ++i) x.keys.key_rows.push_back(--pool_row);
    for (int64_t i = 0; i < s.rows; ++i) x.keys.key_rows.push_back(-1 - self_row++);
    x.keys.key_starts.push_back(int64_t(x.keys.key_rows.size()));
    x.keys.row_starts.push_back(self_row);
  }
  x.keys.self_TY = normal({self_row, y}, 1);
  x.keys.pool_SY = normal({cached, y}, 2);
  x.q_THY = normal({self_row, c.heads, y}, 3);
  x.do_THC = normal({self_row, c.heads, c.c}, 4);
  return x;
}

const std::vector<LatentAttentionCase>& cases() {
  static const std::vector<LatentAttentionCase> list = {
      {2, 16, 8, {}},
      {1, 3, 2, {{0, 1}}},
      {8, 64, 16, {{0, 63}, {0, 64}, {0, 65}}},
      {4, 16, 8, {{100, 1}, {63, 1}, {64, 1}, {0, 1}, {65, 3}}},
      {3, 7, 4, {{31, 97}, {5, 0}, {0, 2}}},
      {12, 32, 16, {{50, 150}}},
      {19, 40, 8, {{129, 17}}},
      {128, 64, 16, {{70, 2}}},
      {16, 512, 64, {{60, 9}}},
  };
  return list;
}

LatentAttention forward(const LatentAttentionInputs& x) { return latent_attention(x.q_THY, x.keys, x.c, x.scale); }
LatentAttentionGrad backward(const LatentAttentionInputs& x, const LatentAttention& saved) {
  return latent_attention_backward(x.do_THC, x.q_THY, x.keys, x.c, saved, x.scale);
}

using finback::same_bits;
bool same_bits(const LatentAttention& a, const LatentAttention& b) { return same_bits(a.o_THC, b.o_THC) && same_bits(a.lse_TH, b.lse_TH); }
LatentAttention rows_of(const LatentAttention& a, int64_t begin, int64_t end) {
  return {a.o_THC.slice(0, begin, end), a.lse_TH.slice(0, begin, end)};
}

TEST(LatentAttention, MatchesTheReferenceAndItsGradients) {
  for (const LatentAttentionCase& c : cases()) {
    const LatentAttentionInputs x = make(c);
    LatentAttentionInputs exact_x = x;
    for (at::Tensor* t : {&exact_x.q_THY, &exact_x.do_THC, &exact_x.keys.self_TY, &exact_x.keys.pool_SY}) *t = t->to(at::kDouble);
    select_kernels("ref");
    const LatentAttention exact = forward(exact_x);
    const LatentAttentionGrad exact_grad = backward(exact_x, exact);
    int64_t terms = c.c + c.r;
    for (const LatentAttentionSequence& s : c.sequences) terms = std::max(terms, s.cached + s.rows + c.c + c.r);
    for_each_variant([&] {
      const std::string what = fmt::format("H{} {}+{} T{}", c.heads, c.c, c.r, x.q_THY.size(0));
      const LatentAttention out = forward(x);
      EXPECT_TRUE(out.o_THC.is_contiguous() && out.lse_TH.is_contiguous());
      expect_close(out.o_THC, exact.o_THC, terms, what + " o");
      expect_close(out.lse_TH, exact.lse_TH, terms, what + " lse");
      const LatentAttentionGrad grad = backward(x, out);
      expect_close(grad.dq_THY, exact_grad.dq_THY, terms, what + " dq");
      expect_close(grad.dself_TY, exact_grad.dself_TY, terms * c.heads, what + " dself");
    });
  }
}

// Two sequences read the same latents of this call: both gradients reach them, in sequence order.
TEST(LatentAttention, SumsGradientsOfASharedPrefix) {
  LatentAttentionInputs x = make({8, 32, 8, {{0, 70}, {0, 20}}});
  std::vector<int64_t> second;
  for (int64_t i = 0; i < 70; ++i) second.push_back(-1 - i);
  x.keys.key_rows.insert(x.keys.key_rows.begin() + 70, second.begin(), second.end());
  x.keys.key_starts = {0, 70, 160};
  LatentAttentionInputs exact_x = x;
  for (at::Tensor* t : {&exact_x.q_THY, &exact_x.do_THC, &exact_x.keys.self_TY, &exact_x.keys.pool_SY}) *t = t->to(at::kDouble);
  select_kernels("ref");
  const LatentAttentionGrad exact = backward(exact_x, forward(exact_x));
  for_each_variant([&] {
    set_threads(1);
    const LatentAttentionGrad one = backward(x, forward(x));
    set_threads(2);
    const LatentAttentionGrad two = backward(x, forward(x));
    expect_close(one.dself_TY, exact.dself_TY, 90 * 8);
    EXPECT_TRUE(same_bits(one.dself_TY, two.dself_TY) && same_bits(one.dq_THY, two.dq_THY));
  });
}

// A prompt of 200 tokens: the whole of it at once, against chunks whose earlier keys come from the cache.
LatentAttentionInputs chunk_of(const LatentAttentionInputs& whole, int64_t begin, int64_t end, bool strided) {
  LatentAttentionInputs x = whole;
  const at::Tensor latents = whole.keys.self_TY;
  x.q_THY = whole.q_THY.slice(0, begin, end);
  x.keys.self_TY = latents.slice(0, begin, end);
  // A cache whose rows are wider than a latent, or one that keeps latents in another order.
  x.keys.pool_SY = strided ? at::cat({latents, at::full({latents.size(0), 3}, NAN)}, 1).slice(1, 0, latents.size(1)) : latents.flip({0});
  x.keys.key_rows.clear();
  for (int64_t i = 0; i < begin; ++i) x.keys.key_rows.push_back(strided ? i : latents.size(0) - 1 - i);
  for (int64_t i = begin; i < end; ++i) x.keys.key_rows.push_back(-1 - (i - begin));
  x.keys.key_starts = {0, end};
  x.keys.row_starts = {0, end - begin};
  return x;
}

TEST(LatentAttention, GivesARowTheSameBitsInAnyChunkFromCacheOrSelf) {
  for (const int64_t heads : {1, 5, 8, 16, 24}) {
    const LatentAttentionInputs whole = make({heads, 32, 8, {{0, 200}}});
    for_each_variant([&] {
      const LatentAttention expected = forward(whole);
      for (const int64_t size : {1, 3, 8, 63, 64, 65, 150}) {
        for (int64_t begin = 0; begin < 200; begin += size) {
          const int64_t end = std::min<int64_t>(200, begin + size);
          const LatentAttention got = forward(chunk_of(whole, begin, end, begin % 2 == 0));
          ASSERT_TRUE(same_bits(got, rows_of(expected, begin, end))) << " H" << heads << " rows " << begin << ".." << end;
        }
      }
    });
  }
}

// A row must not even meet a key that it does not see: a NaN in a later key of the same group leaves it alone.
TEST(LatentAttention, NeverTouchesKeysThatARowDoesNotSee) {
  const LatentAttentionInputs x = make({8, 32, 8, {{0, 100}}});
  for_each_variant([&] {
    const LatentAttention clean = forward(x);
    for (const int64_t bad : {1, 7, 64, 90}) {
      LatentAttentionInputs broken = x;
      broken.keys.self_TY = x.keys.self_TY.clone();
      broken.keys.self_TY[bad].fill_(NAN);
      const LatentAttention out = forward(broken);
      EXPECT_TRUE(same_bits(rows_of(out, 0, bad), rows_of(clean, 0, bad))) << " " << bad;
      EXPECT_TRUE(out.o_THC.slice(0, bad).isnan().all().item<bool>()) << " " << bad;
    }
  });
}

TEST(LatentAttention, GivesASequenceTheSameBitsAloneAndInAnyBatchOnAnyThreads) {
  const LatentAttentionInputs x = make({8, 64, 16, {{70, 1}, {0, 130}, {33, 9}, {500, 1}}});
  for_each_variant([&] {
    set_threads(1);
    const LatentAttention one = forward(x);
    const LatentAttentionGrad one_grad = backward(x, one);
    set_threads(2);
    const LatentAttention two = forward(x);
    const LatentAttentionGrad two_grad = backward(x, two);
    EXPECT_TRUE(same_bits(one, two) && same_bits(one_grad.dq_THY, two_grad.dq_THY) && same_bits(one_grad.dself_TY, two_grad.dself_TY));
    for (size_t b = 0; b < 4; ++b) {
      LatentAttentionInputs alone = x;
      const int64_t begin = x.keys.row_starts[b], end = x.keys.row_starts[b + 1];
      alone.q_THY = x.q_THY.slice(0, begin, end);
      alone.keys.key_rows.assign(x.keys.key_rows.begin() + x.keys.key_starts[b], x.keys.key_rows.begin() + x.keys.key_starts[b + 1]);
      alone.keys.key_starts = {0, int64_t(alone.keys.key_rows.size())};
      alone.keys.row_starts = {0, end - begin};
      EXPECT_TRUE(same_bits(forward(alone), rows_of(one, begin, end))) << " sequence " << b;
    }
  });
}

TEST(LatentAttention, AcceptsStridedQueriesAndUndefinedHomes) {
  LatentAttentionInputs x = make({4, 16, 8, {{40, 1}, {9, 2}}});
  LatentAttentionInputs strided = x;
  strided.q_THY = at::cat({x.q_THY, at::full({3, 4, 2}, NAN)}, 2).slice(2, 0, 24);
  LatentAttentionInputs cached_only = make({4, 16, 8, {{40, 1}}});
  cached_only.keys.key_rows[40] = 39;  // the new key too is a cached one
  cached_only.keys.self_TY = at::Tensor();
  for_each_variant([&] {
    EXPECT_TRUE(same_bits(forward(x), forward(strided)));
    const LatentAttention out = forward(cached_only);
    const LatentAttentionGrad grad = backward(cached_only, out);
    EXPECT_TRUE(at::isfinite(out.o_THC).all().item<bool>() && at::isfinite(grad.dq_THY).all().item<bool>());
    EXPECT_FALSE(grad.dself_TY.defined());
  });
}

}  // namespace
}  // namespace finback
