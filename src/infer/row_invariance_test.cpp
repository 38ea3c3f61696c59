// Row invariance of whole models: a token's log-prob has the same bits in every way to run its document (infer/scored_calls.h), at one and
// two threads, under every kernel variant of this machine.
#include <gtest/gtest.h>

#include "base/pool.h"
#include "infer/engine.h"
#include "infer/scored_calls.h"
#include "kernels/op_check.h"

namespace finback {
namespace {

using namespace test;

struct Case {
  const char* model;
  std::vector<int64_t> lengths;  // of the documents
  void (*set_numerics)(Transformer& model);
};
void f32(Transformer&) {}
// What the blocks' linears multiply, as train.precision sets it.
template <Precision kPrecision>
void multiply(Transformer& model) {
  model.set_precision({kPrecision, kPrecision, {}});
}
// What weights are stored in, as generate --weights sets it.
template <Precision kStorage>
void store(Transformer& model) {
  model.store_weights(kStorage);
}
// Past two pages, one token, a whole page, one past a page, a prime; fewer for the larger model and the other numerics.
const Case kCases[] = {{"nano", {131, 1, 64, 65, 23}, f32},
                       {"nano", {67, 1, 23}, multiply<Precision::kBf16>},
                       {"nano", {67, 1, 23}, multiply<Precision::kFp8>},
                       {"nano", {67, 1, 23}, store<Precision::kBf16>},
                       {"nano", {67, 1, 23}, store<Precision::kInt8>},
                       {"nano", {67, 1, 23}, store<Precision::kFp8>},
                       {"tiny", {67, 1, 23}, f32},
                       {"tiny", {34, 1}, multiply<Precision::kBf16>},
                       {"tiny", {34, 1}, multiply<Precision::kFp8>}};

TEST(RowInvariance, EveryWayGivesTheBitsOfThePackedForward) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(fmt::format("{}, case {}", c.model, &c - kCases));
    const auto model = lively_model(load_model_config(std::string(FINBACK_SOURCE_DIR "/configs/models/") + c.model), false);
    const Documents documents = random_documents(c.lengths, model->config().vocab_size);
    std::vector<Way> ways = {packed(documents), mixed(documents, 37, 0), mixed(documents, 11, 5)};
    for (const int64_t chunk : {1, 7, 31, 64, 100}) ways.push_back(alone(documents, chunk));
    for_each_variant([&] {
      c.set_numerics(*model);  // weights are stored for a kernel variant
      set_threads(1);
      const Scores expected = run_scored(*model, documents, packed(documents));
      for (const int count : {1, 2}) {
        set_threads(count);
        for (const Way& way : ways) {
          EXPECT_EQ(difference(expected, run_scored(*model, documents, way)), "") << way.name << ", " << count << " threads";
        }
      }
    });
  }
}

// What the engine reports for a token that it drew is what scoring that text as a training batch gives.
TEST(RowInvariance, TheEnginesLogProbsAreThoseOfThePackedForward) {
  const auto model = lively_model(load_model_config(FINBACK_SOURCE_DIR "/configs/models/nano"), false);
  for_each_variant([&] {
    Documents documents;
    std::vector<std::vector<TokenEvent>> drawn;
    for (const auto& [length, chunk] : {std::pair<int64_t, int64_t>{60, 512}, {131, 37}, {1, 1}}) {
      documents.push_back(random_documents({length}, model->config().vocab_size)[0]);
      Request request;
      request.prompt.assign(documents.back().begin(), documents.back().end());
      request.max_tokens = 9;
      request.key.seed = uint64_t(length);
      Engine engine(*model, {256, chunk});
      drawn.push_back(generate(engine, request));
      for (const TokenEvent& event : drawn.back()) documents.back().push_back(event.token);
    }
    const Scores scores = run_scored(*model, documents, packed(documents));
    for (size_t d = 0; d < documents.size(); ++d) {
      for (size_t i = 0; i < drawn[d].size(); ++i) {
        const size_t row = size_t(scores.starts[d + 1]) - drawn[d].size() + i - 1;  // predicts token i of the new ones
        EXPECT_EQ(-scores.nll[row], drawn[d][i].logprob) << "document " << d << ", new token " << i;
      }
    }
  });
}

}  // namespace
}  // namespace finback
