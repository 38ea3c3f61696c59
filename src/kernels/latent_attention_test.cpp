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

// Cached keys lie in pages of one row, back to front (nothing is consecutive), new ones in self_TY.
LatentAttentionInputs make(const LatentAttentionCase& c) {
  const int64_t y = c.c + c.r;
  LatentAttentionInputs x;
  x.c = c.c, x.scale = 1 / std::sqrt(double(y));
  int64_t pages = 0, longest = 1;
  for (const LatentAttentionSequence& s : c.sequences) pages += s.cached, longest = std::max(longest, s.cached);
  const int64_t sequences = int64_t(c.sequences.size());
  int64_t page = pages, self_row = 0;
  std::vector<int64_t> row_starts = {0}, cached, segments;
  x.keys.block_table_BM = at::full({sequences, longest}, -1, at::kLong);
  for (const LatentAttentionSequence& s : c.sequences) {
    for (int64_t i = 0; i < s.cached; ++i) x.keys.block_table_BM[int64_t(cached.size())][i].fill_(--page);
    cached.push_back(s.cached);
    segments.insert(segments.end(), {self_row, s.rows});
    row_starts.push_back(self_row += s.rows);
  }
  x.keys.row_starts_B1 = at::tensor(row_starts), x.keys.cached_B = at::tensor(cached);
  x.keys.segment_starts_B1 = at::arange(sequences + 1, at::kLong), x.keys.segments_G2 = at::tensor(segments).view({sequences, 2});
  x.keys.self_TY = normal({self_row, y}, 1);
  x.keys.pages_XPY = normal({pages, 1, y}, 2);
  x.q_THY = normal({self_row, c.heads, y}, 3);
  x.do_THC = normal({self_row, c.heads, c.c}, 4);
  return x;
}

const std::vector<LatentAttentionCase>& latent_attention_cases() {
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

bool same_output(const LatentAttention& a, const LatentAttention& b) {
  return same_bits(a.o_THC, b.o_THC) && same_bits(a.lse_TH, b.lse_TH);
}
LatentAttention rows_of(const LatentAttention& a, int64_t begin, int64_t end) {
  return {a.o_THC.slice(0, begin, end), a.lse_TH.slice(0, begin, end)};
}

TEST(LatentAttention, MatchesTheReferenceAndItsGradients) {
  for (const LatentAttentionCase& c : latent_attention_cases()) {
    const LatentAttentionInputs x = make(c);
    LatentAttentionInputs exact_x = x;
    for (at::Tensor* t : {&exact_x.q_THY, &exact_x.do_THC, &exact_x.keys.self_TY, &exact_x.keys.pages_XPY}) *t = t->to(at::kDouble);
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
  x.keys.segment_starts_B1 = at::tensor({0, 1, 3}, at::kLong);
  x.keys.segments_G2 = at::tensor({0, 70, 0, 70, 70, 20}, at::kLong).view({3, 2});
  LatentAttentionInputs exact_x = x;
  for (at::Tensor* t : {&exact_x.q_THY, &exact_x.do_THC, &exact_x.keys.self_TY, &exact_x.keys.pages_XPY}) *t = t->to(at::kDouble);
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
  const int64_t y = latents.size(1);
  if (strided) {  // pages of 8 rows that are wider than a latent, behind 3 slots of another sequence
    const at::Tensor slots = at::cat({at::full({3, y}, NAN), latents, at::full({5, y}, NAN)});
    x.keys.pages_XPY = at::cat({slots, at::full({208, 3}, NAN)}, 1).view({26, 8, y + 3}).slice(2, 0, y);
    x.keys.block_table_BM = at::arange(26, at::kLong).unsqueeze(0);
    x.keys.first_slot = 3;
  } else {  // pages of one row, in another order
    x.keys.pages_XPY = latents.flip({0}).unsqueeze(1);
    x.keys.block_table_BM = at::arange(199, -1, -1, at::kLong).unsqueeze(0);
  }
  x.keys.cached_B = at::tensor({begin}, at::kLong);
  x.keys.segments_G2 = at::tensor({int64_t(0), end - begin}, at::kLong).view({1, 2});
  x.keys.row_starts_B1 = at::tensor({int64_t(0), end - begin}, at::kLong);
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
          ASSERT_TRUE(same_output(got, rows_of(expected, begin, end))) << " H" << heads << " rows " << begin << ".." << end;
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
      EXPECT_TRUE(same_output(rows_of(out, 0, bad), rows_of(clean, 0, bad))) << " " << bad;
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
    EXPECT_TRUE(same_output(one, two) && same_bits(one_grad.dq_THY, two_grad.dq_THY) && same_bits(one_grad.dself_TY, two_grad.dself_TY));
    for (int64_t b = 0; b < 4; ++b) {
      LatentAttentionInputs alone = x;
      const int64_t* row_starts = x.keys.row_starts_B1.const_data_ptr<int64_t>();
      const int64_t begin = row_starts[b], end = row_starts[b + 1];
      alone.q_THY = x.q_THY.slice(0, begin, end);
      for (at::Tensor* list : {&alone.keys.cached_B, &alone.keys.block_table_BM, &alone.keys.segments_G2}) *list = list->slice(0, b, b + 1);
      alone.keys.segment_starts_B1 = at::tensor({0, 1}, at::kLong);
      alone.keys.row_starts_B1 = at::tensor({int64_t(0), end - begin}, at::kLong);
      EXPECT_TRUE(same_output(forward(alone), rows_of(one, begin, end))) << " sequence " << b;
    }
  });
}

TEST(LatentAttention, AcceptsStridedQueriesAndUndefinedHomes) {
  LatentAttentionInputs x = make({4, 16, 8, {{40, 1}, {9, 2}}});
  LatentAttentionInputs strided = x;
  strided.q_THY = at::cat({x.q_THY, at::full({3, 4, 2}, NAN)}, 2).slice(2, 0, 24);
  LatentAttentionInputs cached_only = make({4, 16, 8, {{40, 1}}});
  cached_only.keys.block_table_BM = at::cat({cached_only.keys.block_table_BM, at::full({1, 1}, 39, at::kLong)}, 1);
  cached_only.keys.cached_B = at::tensor({41}, at::kLong);  // the new key too is a cached one
  cached_only.keys.segment_starts_B1 = at::tensor({0, 0}, at::kLong);
  cached_only.keys.segments_G2 = at::empty({0, 2}, at::kLong);
  cached_only.keys.self_TY = at::Tensor();
  for_each_variant([&] {
    EXPECT_TRUE(same_output(forward(x), forward(strided)));
    const LatentAttention out = forward(cached_only);
    const LatentAttentionGrad grad = backward(cached_only, out);
    EXPECT_TRUE(at::isfinite(out.o_THC).all().item<bool>() && at::isfinite(grad.dq_THY).all().item<bool>());
    EXPECT_FALSE(grad.dself_TY.defined());
  });
}

}  // namespace
}  // namespace finback
