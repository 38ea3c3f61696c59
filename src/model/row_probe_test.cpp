#include "model/row_probe.h"

#include "base/timer.h"
#include "kernels/linear.h"
#include "kernels/op_check.h"

namespace finback {
namespace {

TEST(RowProbe, FindsEveryVariantExact) {
  for_each_variant([] { EXPECT_EQ(row_dependent_ops(), std::vector<std::string>()); });
}

// What it finds there is ATen's.
TEST(RowProbe, RunsOnTheReferences) {
  select_kernels("ref");
  EXPECT_NO_THROW(row_dependent_ops());
  select_kernels("auto");
}

// One row alone sums K in two halves, or the last rows are rounded otherwise.
TEST(RowProbe, NoticesRowsThatDependOnTheirBatch) {
  const uint64_t stamp = 1;
  const at::Tensor x = normal({79, 96}, 1), w = normal({17, 96}, 2);
  const auto product = [&](int64_t first, int64_t rows) { return linear(x.slice(0, first, first + rows), prepared(w, &stamp)); };
  const auto half = [&](int64_t first, int64_t rows, int64_t begin, int64_t end) {
    return linear(x.slice(0, first, first + rows).slice(1, begin, end), prepared(w.slice(1, begin, end), &stamp));
  };
  for_each_variant([&] {
    EXPECT_FALSE(rows_depend_on_batch(79, product));
    EXPECT_TRUE(rows_depend_on_batch(79, [&](int64_t first, int64_t rows) {
      return rows > 1 ? product(first, rows) : half(first, rows, 0, 48) + half(first, rows, 48, 96);
    }));
    EXPECT_TRUE(rows_depend_on_batch(79, [&](int64_t first, int64_t rows) {
      const at::Tensor y = product(first, rows);
      y.slice(0, rows / 12 * 12).mul_(1 + 0x1p-23);
      return y;
    }));
  });
}

// A probe that sees nothing finds everything exact: rows must be numbers, each its own, and one bit of the last one must be seen.
TEST(RowProbe, EveryProbeLooksAtItsRows) {
  std::vector<std::string> names;
  visit_row_ops([&](const std::string& name, const RowOp& op) {
    SCOPED_TRACE(name);
    names.push_back(name);
    const at::Tensor all = op(0, kProbedRows);
    ASSERT_EQ(all.size(0), kProbedRows);
    EXPECT_TRUE(all.isfinite().all().item<bool>());
    EXPECT_FALSE(same_bits(all[0], all[kProbedRows - 1]));
    EXPECT_TRUE(rows_depend_on_batch(kProbedRows, [&](int64_t first, int64_t rows) {
      const at::Tensor y = op(first, rows).contiguous();
      if (rows == 1) y.view({-1})[y.numel() - 1].mul_(1 + 0x1p-23);
      return y;
    }));
  });
  EXPECT_EQ(names.size(), 22u);
}

TEST(MachineProbe, MeasuresThisMachine) {
  const Timer timer;
  const MachineProbe probe = probe_machine();
  RecordProperty("milliseconds", int(timer.seconds() * 1e3));
  EXPECT_EQ(probe.kernels, kernel_label());
  EXPECT_EQ(probe.row_dependent, std::vector<std::string>());
  EXPECT_GT(probe.fma_peak_gflops, 0.1);
  EXPECT_GT(probe.stream_gb_per_s, 0.01);
}

}  // namespace
}  // namespace finback
