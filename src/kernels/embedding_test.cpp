#include "kernels/embedding.h"

#include "kernels/op_check.h"

namespace finback {
namespace {

struct EmbeddingCase {
  int64_t tokens, vocab, d;
};
constexpr EmbeddingCase kEmbeddingCases[] = {{0, 3, 4}, {1, 1, 1}, {300, 7, 65}, {257, 5000, 64}, {13, 11, 130}};

TEST(Embedding, AgreesWithItsReferenceAndItsGradient) {
  for (const EmbeddingCase& c : kEmbeddingCases) {
    SCOPED_TRACE(fmt::format("{} tokens of a vocabulary of {}, {} channels", c.tokens, c.vocab, c.d));
    const at::Tensor ids = random_ids({c.tokens}, c.vocab, 1);
    check_op(
        {normal({c.vocab, c.d}, 2)}, [&](const Tensors& in) { return Tensors{finback::embedding(ids, in[0])}; },
        [&](const Tensors& in) { return Tensors{embedding_ref(ids, in[0])}; }, 1);
    check_op(
        {normal({c.vocab, c.d}, 3), in_wider(normal({c.tokens, c.d}, 4))},
        [&](const Tensors& in) {
          const at::Tensor dweight = in[0].clone();
          embedding_backward_(dweight, ids, in[1]);
          return Tensors{dweight};
        },
        [&](const Tensors& in) { return Tensors{in[0].index_add(0, ids, in[1])}; }, c.tokens);
  }
}

TEST(Embedding, GradientOfMicroBatchesIsThatOfOneBatch) {
  const at::Tensor ids = random_ids({200}, 5, 1), dy = normal({200, 70}, 2);
  check_micro_batches(normal({5, 70}, 3), 200, [&](const at::Tensor& sum, int64_t first, int64_t end) {
    embedding_backward_(sum, ids.slice(0, first, end), dy.slice(0, first, end));
  });
}

TEST(Embedding, NamesTheFirstIdOutOfRange) {
  const at::Tensor weight = normal({5, 3}, 1);
  const auto message = [&](const at::Tensor& ids) -> std::string {
    try {
      finback::embedding(ids, weight);
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  };
  EXPECT_NE(message(at::tensor({0, 5, -1}, at::kLong)).find("token 1: expected an id from 0 to 4, got 5"), std::string::npos);
  EXPECT_NE(message(at::tensor({-1}, at::kLong)).find("got -1"), std::string::npos);
  EXPECT_EQ(message(at::tensor({4}, at::kLong)), "");
}

}  // namespace
}  // namespace finback
