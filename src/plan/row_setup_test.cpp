#include "plan/row_setup.h"

#include <gtest/gtest.h>

#include "cost/parameter_count.h"

namespace finback {
namespace {

const std::string kRowHead = "model,gpu_type,gpus,precision,gbs_seqs,seq_len,mbs_seqs,TP,PP,EP,FSDP,params_B,params_active_B";
RowSetup row_of(const std::string& cells) { return read_row(CsvTable::parse(kRowHead + "\n" + cells + "\n", "t"), 0, fitted_parameters()); }

// A family's name is no size, and one figure of a sparse model is its total.
TEST(PlanRows, SizesThatTheRowGivesDecideOverNamesThatContainAKnownOne) {
  const auto billions = [](const std::string& model, const std::string& ep, const std::string& all, const std::string& active) {
    const ParameterCount count =
        count_parameters(row_of(model + ",H100,64,BF16,256,4096,1,1,1," + ep + ",," + all + "," + active).setup.shape);
    return std::pair{double(count.total()) / 1e9, double(count.active()) / 1e9};
  };
  EXPECT_NEAR(billions("DeepSeek-R1-Distill-Qwen-7B", "", "", "").first, 7, 1);
  EXPECT_NEAR(billions("Llama 3 3B", "", "", "").first, 3, 0.5);
  EXPECT_NEAR(billions("Phi-4-mini", "", "", "3.8").first, 3.8, 0.5);
  EXPECT_NEAR(billions("DeepSeek-V3", "", "", "").first, 671, 15);
  EXPECT_NEAR(billions("Mixtral 8x7B", "", "", "").first, 46.7, 0.5);
  EXPECT_NEAR(billions("Foo-30B-A3B", "8", "30", "").first, 30, 3);
  EXPECT_NEAR(billions("Foo-30B-A3B", "8", "30", "").second, 3, 0.5);
  EXPECT_GT(billions("Foo", "8", "", "3").first, 20);
}

TEST(PlanRows, ReadsOtherSpellings) {
  for (const char* part : {"A100-SXM4-80GB", "A100 80GB", "NVIDIA A100-80GB"})
    EXPECT_EQ(row_of("Llama 3 8B," + std::string(part) + ",64,BF16,256,4096,1,,,,,,").setup.gpu.name, "a100") << part;
  EXPECT_EQ(row_of("Llama 3 8B,A100-40GB,64,BF16,256,4096,1,,,,,,").setup.gpu.name, "a100-40");
  EXPECT_EQ(row_of("Llama 3 8B,AMD Instinct MI300X,64,BF16,256,4096,1,,,,,,").setup.gpu.name, "mi300x");
  EXPECT_EQ(row_of("Llama 3 8B,H100 80GB HBM3,\"1,024\",BF16,4096,4096,1,,,,,N/A,").setup.gpus, 1024);
  const auto sharding = [](const std::string& cell) {
    return row_of("Llama 3 8B,H100,64,BF16,256,4096,1,1,1,1," + cell + ",,").setup.layout.sharding;
  };
  for (const char* word : {"FULL_SHARD", "yes", "True", "ZeRO-3", "FSDP2", "HSDP"}) EXPECT_EQ(sharding(word), Sharding::kWeights) << word;
  for (const char* word : {"", "NO_SHARD", "no", "ZeRO-1"}) EXPECT_EQ(sharding(word), Sharding::kOptimizer) << word;
  EXPECT_EQ(sharding("SHARD_GRAD_OP"), Sharding::kGradients);
}

// Sizes beyond exact counting are refused like other bad cells.
TEST(PlanRows, UncountableModelsAreRefused) {
  EXPECT_NE(row_of("Foo,H100,64,BF16,256,4096,1,,,,,1e12,").reason.find("fewer than 1e+15 parameters"), std::string::npos);
  const CsvTable t = CsvTable::parse(
      "model,gpu_type,gpus,precision,gbs_seqs,seq_len,n_layers,d_model,n_heads,d_ffn_dense\nFoo,H100,8,BF16,8,4096,1000000,1000000,64,"
      "1000000\n",
      "t");
  EXPECT_NE(read_row(t, 0, fitted_parameters()).reason.find("fewer than 1e+15 parameters"), std::string::npos);
}

TEST(PlanRows, ImpossibleCellsAreCutOrRefused) {
  EXPECT_EQ(row_of("Llama 3 8B,H100,64,BF16,256,4096,1024,1,1,,,,").setup.layout.micro_seqs, 4);
  EXPECT_FALSE(row_of("Llama 3 8B,H100,64,BF16,256,4096,1,4294967296,4294967296,,,,").usable);
  EXPECT_GT(row_of("Llama 3.1 405B,H100,512,BF16,512,4096,,,,,,,").setup.layout.tp, 1);  // a layout that fits is searched
}

}  // namespace
}  // namespace finback
