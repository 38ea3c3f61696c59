#include "plan/plan_rows.h"

#include <gtest/gtest.h>

#include "base/file.h"

namespace finback {
namespace {

TEST(PlanRows, EveryRowHasAPredictionOrAReason) {
  for (const char* path : {"configs/cost/throughput.csv", "configs/cost/runs.csv"}) {
    const CsvTable table = CsvTable::parse(read_file(path), path);
    const CsvTable out = CsvTable::parse(predict_rows(table, fitted_parameters()), "predictions");
    ASSERT_EQ(out.size(), table.size());
    for (size_t row = 0; row < out.size(); ++row) EXPECT_EQ(table.fault(row), "") << path << " row " << row;
    for (size_t row = 0; row < out.size(); ++row)
      EXPECT_TRUE(out.number(row, "tokens_per_s_per_gpu") > 0 || !out.cell(row, "reason").empty()) << path << " row " << row;
  }
}

TEST(PlanRows, TargetColumnsDoNotMatter) {
  const std::string head = "model,arch_key,gpu_type,gpus,precision,gbs_seqs,mbs_seqs,seq_len,TP,PP,VP,EP,framework,version";
  const std::string row = "LLAMA3_70B,l3-70,H100,64,FP8,256,1,8192,4,8,5,,Megatron-Bridge,26.04";
  const auto rate = [&](const std::string& columns, const std::string& cells) {
    const CsvTable out =
        CsvTable::parse(predict_rows(CsvTable::parse(head + columns + "\n" + row + cells + "\n", "t"), fitted_parameters()), "p");
    return out.cell(0, "tokens_per_s_per_gpu");
  };
  EXPECT_EQ(rate("", ""), rate(",tokens_per_s_per_gpu,step_time_s,published_mfu_pct", ",17,3,99"));
}

TEST(PlanRows, SaysWhyThereIsNoPrediction) {
  const auto reason = [&](const std::string& row) {
    const CsvTable t = CsvTable::parse("model,gpu_type,gpus,precision,gbs_seqs,seq_len\n" + row + "\n", "t");
    return CsvTable::parse(predict_rows(t, fitted_parameters()), "p").cell(0, "reason");
  };
  EXPECT_NE(reason("Nobody knows,H100,8,BF16,8,4096").find("no shape known"), std::string::npos);
  EXPECT_NE(reason("Llama 3 8B,Abacus,8,BF16,8,4096").find("unknown accelerator"), std::string::npos);
  EXPECT_NE(reason("Llama 3 8B,H100,8,BF17x,8,4096").find("unknown precision"), std::string::npos);
  EXPECT_NE(reason("Llama 3 8B,H100,-8,BF16,8,4096").find("number of accelerators"), std::string::npos);
  EXPECT_NE(reason("Llama 3 8B,H100,8,BF16,,0").find("sequence length"), std::string::npos);
  EXPECT_EQ(reason("Llama 3 8B,H100,8,BF16,8,"), "shape of l3-8; rows of 4096 tokens assumed; ");
}

// A line of other than the head's cells is a bad row, not a bad file: those beside it are answered.
TEST(PlanRows, ARowOfTooFewOrTooManyCellsIsAnsweredLikeOtherBadOnes) {
  const CsvTable t = CsvTable::parse(
      "model,gpu_type,gpus,precision,gbs_seqs,seq_len\nLlama 3 8B,H100,8\nLlama 3 8B,H100,8,BF16,8,4096,1\nLlama 3 8B,H100,8,BF16,8,4096\n",
      "t");
  const CsvTable out = CsvTable::parse(predict_rows(t, fitted_parameters()), "p");
  ASSERT_EQ(out.size(), 3u);
  EXPECT_EQ(out.cell(0, "reason"), "expected 6 cells, got 3");
  EXPECT_EQ(out.cell(1, "reason"), "expected 6 cells, got 7");
  EXPECT_EQ(out.cell(0, "model"), "Llama 3 8B");
  for (size_t row = 0; row < 2; ++row) EXPECT_EQ(out.cell(row, "tokens_per_s_per_gpu"), "") << row;
  EXPECT_GT(out.number(2, "tokens_per_s_per_gpu"), 0);
}

}  // namespace
}  // namespace finback
