#include "cost/parameter_count.h"

#include <gtest/gtest.h>

#include "model/parameters.h"

namespace finback {
namespace {

ModelConfig counted_config(const char* name) { return load_model_config(std::string("configs/models/") + name + "/config.json"); }

// The published totals, to the integer.
TEST(ParameterCount, ReproducesThePublishedCounts) {
  const ParameterCount v3 = count_parameters(shape_of(counted_config("v3")));
  EXPECT_EQ(v3.total(), 671'026'419'200);
  EXPECT_EQ(v3.active(), 36'625'618'432);
  EXPECT_EQ(v3.mtp.total(), 11'610'068'224);
  const ParameterCount lite = count_parameters(shape_of(counted_config("v2-lite")));
  EXPECT_EQ(lite.total(), 15'706'484'224);
  EXPECT_EQ(lite.active(), 2'451'435'008);
}

// The count is of the tensors that a model really has (model/parameters.h), part by part.
TEST(ParameterCount, IsThatOfTheTensorsOfACheckpoint) {
  const auto with = [](ModelConfig c, auto change) {
    change(c);
    return c;
  };
  for (const ModelConfig& c :
       {counted_config("nano"), counted_config("tiny"), counted_config("small"), counted_config("wide"), counted_config("v2-lite"),
        counted_config("v3"), with(counted_config("tiny"), [](ModelConfig& m) { m.tie_word_embeddings = true; }),
        with(counted_config("tiny"), [](ModelConfig& m) { m.q_lora_rank.reset(), m.num_nextn_predict_layers = 3; }),
        with(counted_config("tiny"), [](ModelConfig& m) { m.n_shared_experts = 0, m.first_k_dense_replace = 0; }),
        with(counted_config("tiny"), [](ModelConfig& m) { m.n_routed_experts = 0; })}) {
    int64_t layers = 0, mtp = 0, tables = 0, router = 0;
    for (const auto& specs : {parameter_specs(c), buffer_specs(c)}) {
      for (const ParameterSpec& spec : specs) {
        const size_t at = std::string("model.layers.").size();
        const bool in_layer = spec.name.starts_with("model.layers.");
        const bool in_mtp = in_layer && std::stoll(spec.name.substr(at)) >= c.num_hidden_layers;
        const bool table = spec.name == "model.embed_tokens.weight" || spec.name == "lm_head.weight";
        (table ? tables : in_mtp ? mtp : layers) += spec.numel;
        if (spec.name.find("mlp.gate.") != std::string::npos && !in_mtp) router += spec.numel;
      }
    }
    const ParameterCount count = count_parameters(shape_of(c));
    EXPECT_EQ(count.embedding + count.stored_head(), tables);
    EXPECT_EQ(count.layers.total(), layers);
    EXPECT_EQ(count.mtp.total(), mtp);
    EXPECT_EQ(count.layers.router + count.layers.expert_bias, router);
  }
}

}  // namespace
}  // namespace finback
