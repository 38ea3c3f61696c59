#include "kernels/head_loss.h"

#include <ATen/core/grad_mode.h>

#include "kernels/op_check.h"

namespace finback {
namespace {

constexpr uint64_t kHeadLossStamp = 1;

struct HeadLossCase {
  int64_t tokens, d, vocab;
};
// A vocabulary of one, primes, one past a chunk of 256 rows, one past a panel of columns.
constexpr HeadLossCase kHeadLossCases[] = {{0, 4, 5}, {1, 1, 1}, {3, 7, 13}, {257, 16, 33}, {64, 40, 257}};

at::Tensor targets(const HeadLossCase& c) {
  const at::Tensor ids = random_ids({c.tokens}, c.vocab, 5);
  return c.tokens > 2 ? ids.masked_fill(at::arange(c.tokens).remainder(3).eq(1), -1) : ids;
}

// in: h, head, d_head before. Out: log-probs, lse, argmax, dh, d_head after.
TensorOp loss(const at::Tensor& targets_T, bool reference, const at::Tensor& weights = {}) {
  return [=](const Tensors& in) {
    const at::Tensor d_head = in[2].clone();
    const HeadLoss l = reference ? head_loss_ref(in[0], in[1], targets_T, {d_head, 0.37, 0.01, weights})
                                 : head_loss(in[0], prepared(in[1], &kHeadLossStamp), targets_T, {d_head, 0.37, 0.01, weights});
    return Tensors{l.logprob_T, l.lse_T, l.argmax_T, l.dh_TD, d_head};
  };
}

TEST(HeadLoss, AgreesWithItsReference) {
  for (const HeadLossCase& c : kHeadLossCases) {
    SCOPED_TRACE(fmt::format("{} x {} x {}", c.tokens, c.d, c.vocab));
    const Tensors in = {normal({c.tokens, c.d}, 1), normal({c.vocab, c.d}, 2), normal({c.vocab, c.d}, 3)};
    check_op({in_wider(in[0]), in[1], in[2]}, loss(targets(c), false), loss(targets(c), true), std::max(c.d, c.vocab));
  }
}

// The reference's own gradient is written by hand: autograd of its loss is the judge.
TEST(HeadLoss, GradientIsThatOfTheLoss) {
  const HeadLossCase c = {29, 8, 11};
  const at::Tensor targets_T = targets(c), valid = targets_T.ge(0);
  const at::Tensor h = normal({c.tokens, c.d}, 1).to(at::kDouble).requires_grad_(true),
                   head = normal({c.vocab, c.d}, 2).to(at::kDouble).requires_grad_(true);
  {
    const at::AutoGradMode enable(true);
    const at::Tensor logits = at::matmul(h, head.t()), lse = at::logsumexp(logits, {1}).masked_select(valid);
    const at::Tensor chosen = logits.gather(1, targets_T.clamp_min(0).unsqueeze(1)).squeeze(1).masked_select(valid);
    (0.37 * (lse - chosen).sum() + 0.01 * lse.square().sum()).backward();
  }
  const Tensors out = loss(targets_T, true)({h.detach(), head.detach(), at::zeros({c.vocab, c.d}, at::kDouble)});
  expect_close(out[3], h.grad(), c.vocab);
  expect_close(out[4], head.grad(), c.tokens);
}

// A weight a row, given or computed from the log-probs; autograd is the judge.
TEST(HeadLoss, RowsWeighWhatTheyAreGivenOrWhatTheirLogProbSays) {
  const HeadLossCase c = {261, 8, 11};
  const at::Tensor targets_T = targets(c), valid = targets_T.ge(0), weights_T = normal({c.tokens}, 7);
  const at::Tensor h_TD = normal({c.tokens, c.d}, 1), head_WD = normal({c.vocab, c.d}, 2);
  // A policy's weight: exp(logprob - old), cut off at 1.2, times an advantage.
  const auto policy = [&](const at::Tensor& logprob_T) {
    return at::exp(logprob_T + 2).clamp_max(1.2) * weights_T.to(logprob_T.scalar_type());
  };
  const WeighRows weigh = [&](int64_t first, std::span<const float> logprobs, std::span<float> weights) {
    for (size_t i = 0; i < logprobs.size(); ++i) {
      weights[i] = std::min(1.2f, std::exp(logprobs[i] + 2)) * weights_T.const_data_ptr<float>()[first + int64_t(i)];
    }
  };
  for (const bool by_logprob : {false, true}) {
    const at::Tensor h = h_TD.to(at::kDouble).requires_grad_(true), head = head_WD.to(at::kDouble).requires_grad_(true);
    {
      const at::AutoGradMode enable(true);
      const at::Tensor logprob_T = at::log_softmax(at::matmul(h, head.t()), 1).gather(1, targets_T.clamp_min(0).unsqueeze(1)).squeeze(1);
      const at::Tensor w_T = by_logprob ? policy(logprob_T.detach()) : weights_T.to(at::kDouble);
      (-0.37 * (w_T * logprob_T).masked_select(valid).sum()).backward();
    }
    const auto check = [&] {
      const at::Tensor d_head = at::zeros_like(head_WD);
      const HeadGradient wanted = {d_head, 0.37, 0, by_logprob ? at::Tensor() : weights_T, by_logprob ? weigh : WeighRows()};
      const HeadLoss loss = head_loss(h_TD, prepared(head_WD, &kHeadLossStamp), targets_T, wanted);
      expect_close(loss.dh_TD, h.grad(), c.vocab);
      expect_close(d_head, head.grad(), c.tokens);
    };
    for_each_variant(check);
    select_kernels("ref");
    check();
    select_kernels("auto");
  }
}

TEST(HeadLoss, AWeightOfOneIsNoWeight) {
  const HeadLossCase c = {70, 12, 40};
  const at::Tensor h = normal({c.tokens, c.d}, 1), head = normal({c.vocab, c.d}, 2);
  for_each_variant([&] {
    const Tensors in = {h, head, at::zeros_like(head)}, plain = loss(targets(c), false)(in),
                  weighed = loss(targets(c), false, at::ones({c.tokens}))(in);
    for (size_t i = 0; i < plain.size(); ++i) EXPECT_TRUE(same_bits(plain[i], weighed[i])) << i;
  });
}

TEST(HeadLoss, OfOneTokenHasTheBitsOfTheOp) {
  const at::Tensor h = normal({70, 12}, 1), head = normal({257, 12}, 2), targets_T = random_ids({70}, 257, 5);
  for_each_variant([&] {
    const PackedWeight packed = prepared(head, &kHeadLossStamp);
    const HeadLoss loss = head_loss(h, packed, targets_T);
    const at::Tensor logits = linear(h, packed);
    for (int64_t t = 0; t < 70; ++t) {
      const std::span<const float> row(logits[t].const_data_ptr<float>(), 257);
      EXPECT_EQ(token_logprob(row, targets_T[t].item<int64_t>()), loss.logprob_T[t].item<float>());
    }
  });
}

// A stored head is the head: the loss is that of the logits that linear() gives.
TEST(HeadLoss, OfAStoredHeadIsThatOfItsLogits) {
  const at::Tensor h = normal({20, 128}, 1), head = normal({257, 128}, 2), targets_T = random_ids({20}, 257, 5);
  for (const Precision storage : {Precision::kBf16, Precision::kFp8, Precision::kInt8}) {
    SCOPED_TRACE(precision_name(storage));
    const auto check = [&] {
      const StoredWeight stored = store_weight(head, storage);
      const HeadLoss loss = head_loss(h, stored, targets_T);
      const at::Tensor logits = linear(h, stored);
      for (int64_t t = 0; t < 20; ++t) {
        const std::span<const float> row(logits[t].const_data_ptr<float>(), 257);
        EXPECT_NEAR(token_logprob(row, targets_T[t].item<int64_t>()), loss.logprob_T[t].item<float>(), 1e-4);
      }
    };
    for_each_variant(check);
    select_kernels("ref");
    check();
    select_kernels("auto");
  }
}

TEST(HeadLoss, OfOneTokenIsNotFiniteWhenTheLogitsAreNoDistribution) {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<std::vector<float>> rows = {{1, nan, 2}, {nan, 1, 2}, {1, 2, nan}, {1, inf, 2}, {-inf, -inf, -inf}};
  const auto check = [&] {
    for (const auto& row : rows) EXPECT_FALSE(std::isfinite(token_logprob(row, 2))) << row[0] << " " << row[1] << " " << row[2];
    EXPECT_NEAR(token_logprob(std::vector<float>{1, -inf, 1}, 2), -std::log(2.0f), 1e-6);
  };
  for_each_variant(check);
  select_kernels("ref");
  check();
  select_kernels("auto");
}

TEST(HeadLoss, WithoutGradientsGivesTheSameLosses) {
  const HeadLossCase c = {70, 12, 40};
  const at::Tensor h = normal({c.tokens, c.d}, 1), head = normal({c.vocab, c.d}, 2);
  for_each_variant([&] {
    const HeadLoss plain = head_loss(h, prepared(head, &kHeadLossStamp), targets(c));
    const HeadLoss full = head_loss(h, prepared(head, &kHeadLossStamp), targets(c), {at::zeros_like(head)});
    EXPECT_FALSE(plain.dh_TD.defined());
    EXPECT_TRUE(same_bits(plain.logprob_T, full.logprob_T) && same_bits(plain.lse_T, full.lse_T) &&
                same_bits(plain.argmax_T, full.argmax_T));
  });
}

TEST(HeadLoss, LowestIdWinsTiesOfTheArgmax) {
  for_each_variant([&] {
    at::Tensor head = at::zeros({100, 2});
    const HeadLoss level = head_loss(at::ones({1, 2}), prepared(head, &kHeadLossStamp), at::zeros({1}, at::kLong));
    EXPECT_EQ(level.argmax_T.item<int64_t>(), 0);
    for (const int64_t id : {41, 57, 99}) head[id].fill_(1.0f);
    const HeadLoss tied = head_loss(at::ones({1, 2}), prepared(head, &kHeadLossStamp), at::zeros({1}, at::kLong));
    EXPECT_EQ(tied.argmax_T.item<int64_t>(), 41);
  });
}

TEST(HeadLoss, RowDependsOnItselfAlone) {
  const HeadLossCase c = {300, 12, 40};
  const at::Tensor head = normal({c.vocab, c.d}, 2);
  check_rows_alone({normal({c.tokens, c.d}, 1), targets(c)}, [&](const Tensors& in) {
    const HeadLoss l = head_loss(in[0], prepared(head, &kHeadLossStamp), in[1], {at::zeros_like(head), 0.5, 0.1});
    return Tensors{l.logprob_T, l.lse_T, l.argmax_T, l.dh_TD};
  });
}

TEST(HeadLoss, WeightGradientOfMicroBatchesIsThatOfOneBatch) {
  const HeadLossCase c = {600, 12, 40};
  const at::Tensor h = normal({c.tokens, c.d}, 1), head = normal({c.vocab, c.d}, 2), ids = targets(c);
  check_micro_batches(normal({c.vocab, c.d}, 3), c.tokens, [&](const at::Tensor& sum, int64_t first, int64_t end) {
    head_loss(h.slice(0, first, end), prepared(head, &kHeadLossStamp), ids.slice(0, first, end), {sum, 0.5, 0.1});
  });
}

}  // namespace
}  // namespace finback
