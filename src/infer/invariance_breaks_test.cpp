// What row invariance is tested with must be able to fail: each way in which a program of this kind loses it is done to the model here on
// purpose, and the same comparison as in row_invariance_test.cpp must notice. Nothing in the product knows of a break: a broken op is
// redone in this file, in the middle of a whole model.
#include <gtest/gtest.h>

#include "infer/scored_calls.h"
#include "kernels/embedding.h"
#include "kernels/op_check.h"
#include "kernels/swiglu.h"
#include "model/block.h"
#include "model/rope_table.h"

namespace finback {
namespace {

using namespace test;

// y = x W^T, or a broken form of it.
using Product = std::function<at::Tensor(const at::Tensor& x_TK, const PackedWeight& w_NK)>;

// Transformer::forward once more from its public parts; the two linears of layer 0's FFN (dense) are any function.
class DissectedModel {
 public:
  DissectedModel(const Transformer& model, Product product)
      : c_(model.config()),
        p_(model.parameters()),
        product_(std::move(product)),
        cos_sin_SR_(rope_table(c_, at::kCPU)),
        attention_(c_, p_, layer_prefix(0) + "self_attn.", 0),
        gate_up_(fused_gate_up(p_, layer_prefix(0) + "mlp.")),
        down_(p_, layer_prefix(0) + "mlp.down_proj") {
    for (int64_t layer = 1; layer < c_.num_hidden_layers; ++layer) blocks_.push_back(std::make_unique<Block>(c_, p_, layer));
  }

  at::Tensor forward(const Batch& batch, const ForwardOptions& options) {
    attention_.prepare(options.algebra, /*backward=*/false);
    for (Linear* linear : {&gate_up_, &down_}) linear->prepare(/*backward=*/false);
    for (const auto& block : blocks_) block->prepare(options.algebra, /*backward=*/false);
    const auto pass = make_forward_pass(batch, options, cos_sin_SR_, !c_.rope_interleave);
    at::Tensor x_TD = finback::embedding(batch.tokens_T, p_.value("model.embed_tokens.weight"));
    x_TD = x_TD + attention_.forward(norm(layer_prefix(0) + "input_layernorm", x_TD), pass, false).y_TD;
    const at::Tensor n_TD = norm(layer_prefix(0) + "post_attention_layernorm", x_TD);
    x_TD = x_TD + product_(swiglu(product_(n_TD, gate_up_.weight.packed)), down_.weight.packed);
    for (const auto& block : blocks_) x_TD = block->forward(x_TD, pass);
    return norm("model.norm", x_TD);
  }

 private:
  at::Tensor norm(const std::string& name, const at::Tensor& x_TD) const { return Norm(p_, name, c_.rms_norm_eps).forward(x_TD).y_TD; }

  const ModelConfig& c_;
  const Parameters& p_;
  Product product_;
  at::Tensor cos_sin_SR_;
  Mla attention_;
  Linear gate_up_, down_;
  std::vector<std::unique_ptr<Block>> blocks_;
};

class InvarianceBreaks : public testing::Test {
 protected:
  static std::unique_ptr<Transformer> nano() { return lively_model(load_model_config(FINBACK_SOURCE_DIR "/configs/models/nano"), false); }

  Scores run(const Way& way, const Forward& forward, MlaAlgebra algebra = MlaAlgebra::kAbsorbed,
             const std::function<void(KvCache&)>& after_call = {}) {
    ForwardOptions options;
    options.algebra = algebra;
    model_->prepare(algebra, /*backward=*/false);  // the head, where `forward` is not the model's own
    return ScoredRun(*model_, documents_).run(way, forward, options, after_call);
  }
  // What the comparison says of the packed forward and of calls of 7 rows when every linear of layer 0's FFN is `product`.
  std::string difference_with(const Product& product) {
    DissectedModel dissected(*model_, product);
    const Forward forward = [&](const Batch& batch, const ForwardOptions& options) { return dissected.forward(batch, options); };
    return difference(run(packed(documents_), forward), run(alone(documents_, 7), forward));
  }

  std::unique_ptr<Transformer> model_ = nano();
  Documents documents_ = random_documents({70, 23}, model_->config().vocab_size);
};

// Else the breaks below would prove nothing about the model.
TEST_F(InvarianceBreaks, WithNothingBrokenTheDissectedModelIsTheModel) {
  for_each_variant([&] {
    DissectedModel dissected(*model_, linear);
    const Forward forward = [&](const Batch& batch, const ForwardOptions& options) { return dissected.forward(batch, options); };
    EXPECT_EQ(difference(run(packed(documents_), forward_of(*model_)), run(packed(documents_), forward)), "");
    EXPECT_EQ(difference_with(linear), "");
  });
}

// As libraries do for a few rows, so that more threads have work: each half of K sums for itself.
TEST_F(InvarianceBreaks, NoticesASumOverKInTwoHalvesForFewRows) {
  const uint64_t stamp = 1;
  const Product split = [&](const at::Tensor& x_TK, const PackedWeight& w_NK) {
    if (x_TK.size(0) > 8) return linear(x_TK, w_NK);
    const int64_t half = w_NK.k() / 2;
    const PackedWeight first = prepared(w_NK.weight().slice(1, 0, half), &stamp), second = prepared(w_NK.weight().slice(1, half), &stamp);
    return linear(x_TK.slice(1, 0, half), first) + linear(x_TK.slice(1, half), second);
  };
  for_each_variant([&] { EXPECT_NE(difference_with(split), ""); });
}

// Rows behind the last whole tile of 12 take another code path: here one that sums from the end of K. (ATen's has the same bits on some processors.)
TEST_F(InvarianceBreaks, NoticesAnotherTileForTheTail) {
  const uint64_t stamp = 1;
  const Product tail = [&](const at::Tensor& x_TK, const PackedWeight& w_NK) {
    const int64_t whole = x_TK.size(0) / 12 * 12;
    const PackedWeight backwards = prepared(w_NK.weight().flip(1), &stamp);
    return at::cat({linear(x_TK.slice(0, 0, whole), w_NK), linear(x_TK.slice(0, whole).flip(1), backwards)}, 0);
  };
  for_each_variant([&] { EXPECT_NE(difference_with(tail), ""); });
}

TEST_F(InvarianceBreaks, NoticesACacheRoundedToBf16OnOneSide) {
  const auto round = [](KvCache& cache) { cache.pages_XLPY.copy_(cache.pages_XLPY.to(at::kBFloat16)); };
  for_each_variant([&] {
    const Forward forward = forward_of(*model_);
    EXPECT_NE(difference(run(packed(documents_), forward), run(alone(documents_, 7), forward, MlaAlgebra::kAbsorbed, round)), "");
  });
}

TEST_F(InvarianceBreaks, NoticesTheExpandedAlgebraOnOneSide) {
  for_each_variant([&] {
    const Forward forward = forward_of(*model_);
    EXPECT_NE(difference(run(packed(documents_), forward, MlaAlgebra::kExpanded), run(alone(documents_, 7), forward)), "");
  });
}

// All experts of a group have one gate row, so every choice is a tie. A router that takes the highest index among equals is then the router
// that takes the lowest over the experts in reverse order: that is how few rows are routed here.
TEST_F(InvarianceBreaks, NoticesUnstableRouterTies) {
  const auto reversed = nano();
  const int64_t width = model_->config().n_routed_experts / model_->config().n_group;
  for (const ParameterSpec& bias : model_->parameters().buffers()) {
    const std::string moe = bias.name.substr(0, bias.name.find("gate."));
    for (Transformer* model : {model_.get(), reversed.get()}) {
      Parameters& p = model->parameters();
      for (const at::Tensor& per_expert : {p.value(moe + "gate.weight"), p.buffer(bias.name)}) {
        for (const at::Tensor& group : per_expert.split(width)) group.copy_(group[0].clone().expand_as(group));
      }
    }
    for (const at::Tensor& experts :
         {reversed->parameters().stacked_gate_up(moe + "experts.", false), reversed->parameters().stacked_down(moe + "experts.", false)}) {
      for (const at::Tensor& group : experts.split(width)) group.copy_(group.flip(0));
    }
  }
  model_->parameters().touch();
  reversed->parameters().touch();
  const Forward stable = forward_of(*model_), unstable = [&](const Batch&batch, const ForwardOptions&options) {
    return (batch.tokens() > 8 ? *model_ : *reversed).forward(batch, options);
  };
  for_each_variant([&] {
    const Scores expected = run(packed(documents_), stable);
    EXPECT_EQ(difference(expected, run(alone(documents_, 7), stable)), "");
    EXPECT_NE(difference(expected, run(alone(documents_, 7), unstable)), "");
  });
}

}  // namespace
}  // namespace finback
