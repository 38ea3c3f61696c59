#include "plan/plan_rows.h"

#include <algorithm>

#include "cost/flops.h"
#include "plan/interval.h"
#include "plan/layout_search.h"
#include "plan/row_setup.h"
#include "plan/row_text.h"

namespace finback {
namespace {

// Rows with several sequence lengths: mean seconds a token, by weight.
double mean_rate(const CsvTable& t, size_t row, const RowSetup& r, const CostParameters& p) {
  const auto mix = sequence_mix(t.cell(row, "seq_mix"));
  if (mix.empty()) return tokens_per_second(r.setup, step_time(r.setup, p));
  double seconds = 0, weights = 0;
  for (const auto& [weight, length] : mix) {
    TrainSetup s = r.setup;
    const double batch_tokens = double(s.batch_seqs) * double(s.seq_len);
    s.seq_len = length;
    s.batch_seqs = std::max<int64_t>(1, int64_t(batch_tokens / double(length)));
    widen_context(s.layout, s.gpus, s.batch_seqs);
    s.batch_seqs = std::max(s.batch_seqs, s.layout.dp(s.gpus));
    seconds += weight / tokens_per_second(s, step_time(s, p));
    weights += weight;
  }
  return weights / seconds;
}

double campaign_hours(double rate, const RowSetup& r, const CostParameters& p) {
  return r.tokens / rate / 3600 / (p.goodput * practice_share(r.moe, p));
}

}  // namespace

std::string predict_rows_under(const CsvTable& table, const std::vector<CostParameters>& sets) {
  std::string text = "row,usable";
  for (size_t i = 0; i < sets.size(); ++i) text += fmt::format(",p{}", i);
  text += "\n";
  for (size_t row = 0; row < table.size(); ++row) {
    const RowSetup r = read_row(table, row, sets[0]);
    text += fmt::format("{},{}", row, r.usable ? 1 : 0);
    for (const CostParameters& p : sets) {
      const double rate = r.usable ? mean_rate(table, row, r, p) : 0;
      text += fmt::format(",{:.8g}", r.usable && r.tokens > 0 ? campaign_hours(rate, r, p) : rate);
    }
    text += "\n";
  }
  return text;
}

std::string predict_rows(const CsvTable& table, const CostParameters& p) {
  const bool campaign = table.has("tokens_T");
  const char* const id = table.has("run_id") ? "run_id" : "model";
  std::string text =
      std::string("row,") + id +
      ",gpu,gpus,tokens_per_s_per_gpu,tokens_per_s_low,tokens_per_s_high,step_time_s,step_time_low,step_time_high,tflops_per_gpu,"
      "mfu_bf16_pct,gpu_hours,gpu_hours_low,gpu_hours_high,memory_GiB,layout,compute_s,tp_s,cp_s,ep_s,dp_s,pp_s,bubble_s,"
      "optimizer_s,host_s,straggle_s,reason\n";
  for (size_t row = 0; row < table.size(); ++row) {
    const RowSetup r = read_row(table, row, p);
    text += fmt::format("{},{},", row, csv_cell(table.cell(row, id)));
    if (!r.usable) {
      text += fmt::format(",,,,,,,,,,,,,,,,,,,,,,,,,{}\n", csv_cell(r.reason));
      continue;
    }
    const TrainSetup& s = r.setup;
    const StepTime t = step_time(s, p);
    const double rate = mean_rate(table, row, r, p),
                 flops = train_flops_per_token(s.shape, double(s.seq_len), AttentionCount::kCausal, true);
    const double wide = step_spread(r.moe, p);
    text +=
        fmt::format("{},{},{:.5g},{:.5g},{:.5g},{:.5g},{:.5g},{:.5g},{:.4g},{:.3g},", s.gpu.name, s.gpus, rate, rate / wide, rate * wide,
                    t.total(), t.total() / wide, t.total() * wide, rate * flops / 1e12, 100 * rate * flops / 1e12 / s.gpu.bf16_tflops);
    const double hours = campaign ? campaign_hours(rate, r, p) : 0, far = campaign_spread(r.moe, p);
    text += campaign ? fmt::format("{:.5g},{:.5g},{:.5g},", hours, hours / far, hours * far) : ",,,";
    text += fmt::format("{:.4g},{},{:.4g},{:.4g},{:.4g},{:.4g},{:.4g},{:.4g},{:.4g},{:.4g},{:.4g},{:.4g},{}\n",
                        time_layout(s, p).memory.total() / 1073741824.0, csv_cell(layout_name(s.layout)), t.compute() - t.host, t.tp, t.cp,
                        t.ep, t.dp, t.pp, t.bubble, t.optimizer, t.host, t.straggle, csv_cell(r.reason));
  }
  return text;
}

}  // namespace finback
