#include "plan/plan_rows.h"

#include <gtest/gtest.h>

namespace finback {
namespace {

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
