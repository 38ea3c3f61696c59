#include "plan/row_setup.h"

#include <algorithm>
#include <cctype>

#include "cost/parameter_count.h"
#include "plan/layout_search.h"
#include "plan/row_shape.h"
#include "plan/row_text.h"

namespace finback {
namespace {

// Checked before anything is divided by them.
void check_sizes(const TrainSetup& s) {
  constexpr int64_t kMost = int64_t{1} << 24;
  FB_CHECK(s.seq_len >= 1 && s.seq_len <= kMost, "expected a sequence length from 1 to 2^24, got {}", s.seq_len);
  FB_CHECK(s.gpus >= 0 && s.gpus <= kMost, "expected a number of accelerators up to 2^24, got {}", s.gpus);
  FB_CHECK(s.batch_seqs >= 0 && s.batch_seqs <= int64_t{1} << 32, "expected a batch of up to 2^32 sequences, got {}", s.batch_seqs);
}

void check_degrees(const Layout& l) {
  for (const int64_t degree : {l.tp, l.pp, l.vp, l.cp, l.ep, l.micro_seqs})
    FB_CHECK(degree >= 1 && degree <= 65536, "expected degrees and micro-batches from 1 to 65536, got {}", degree);
}

// What a benchmark row leaves out.
void complete_step(RowSetup& r, const CsvTable& t, size_t row) {
  TrainSetup& s = r.setup;
  Layout& l = s.layout;
  const std::string words = row_words(t, row);
  const int64_t dp = std::max<int64_t>(1, s.gpus / (l.tp * l.pp * l.cp));
  if (s.batch_seqs <= 0) {
    s.batch_seqs = dp * std::max<int64_t>(1, 16384 / s.seq_len);
    r.reason += "batch assumed; ";
  }
  const int64_t rank_seqs = std::max<int64_t>(1, s.batch_seqs / dp);
  if (l.micro_seqs > rank_seqs) {
    l.micro_seqs = rank_seqs;
    r.reason += "micro-batch cut to a rank's share of the batch; ";
  }
  if (t.number(row, "mbs_seqs") <= 0) {
    // Where weights are sharded, the local batch is one micro-batch, or as many as there are pipeline stages (torchtitan). Megatron takes single sequences.
    if (l.sharding == Sharding::kWeights) {
      l.micro_seqs =
          l.pp > 1 ? std::max<int64_t>(1, rank_seqs / l.pp) : std::min<int64_t>(rank_seqs, std::max<int64_t>(1, 131072 / s.seq_len));
    }
  }
  if (l.pp > 1 && t.number(row, "VP") <= 0) {
    const bool plain = words.find("n/a") != std::string::npos || has_word(words, "1f1b") || has_word(words, "dualpipe");
    l.vp = has_word(words, "interleaved") ? 2 : plain || t.cell(row, "VP") == "n/a" ? 1 : std::max<int64_t>(1, s.shape.layers / l.pp);
  }
}

void read_layout_columns(RowSetup& r, const CsvTable& t, size_t row) {
  Layout& l = r.setup.layout;
  const auto degree = [&](const char* column, int64_t fallback) { return std::max<int64_t>(1, t.integer(row, column, fallback)); };
  l.tp = degree("TP", 1), l.pp = degree("PP", 1), l.cp = degree("CP", 1), l.vp = degree("VP", 1), l.ep = degree("EP", 1);
  l.micro_seqs = degree("mbs_seqs", 1);
  const std::string shards = t.cell(row, "FSDP"), words = row_words(t, row);
  if (const auto said = sharding_in(shards)) {
    l.sharding = *said;
  } else if (!shards.empty() && std::isdigit(static_cast<unsigned char>(shards[0])) && std::atoll(shards.c_str()) > 1) {
    l.sharding = Sharding::kWeights;
    const int64_t dp = std::max<int64_t>(1, r.setup.gpus / (l.tp * l.pp * l.cp));
    l.shard_group = std::min<int64_t>(std::atoll(shards.c_str()) * l.cp, dp * l.cp);
  } else if (has_word(t.cell(row, "framework"), "olmo")) {
    l.sharding = Sharding::kWeights;
  }
  l.recompute = recompute_in(t.cell(row, "recompute"));
  l.hide_tensor = has_word(words, "async tp") || has_word(words, "asynctp");
  l.static_experts = has_word(words, "token drop") || has_word(words, "tokendrop");
  l.hide_experts = has_word(words, "dualpipe") || has_word(t.cell(row, "framework"), "hai-llm");
}

// What a campaign row leaves out: published runs rarely state their layout.
void complete_campaign(RowSetup& r, const CsvTable& t, size_t row, const CostParameters& p) {
  TrainSetup& s = r.setup;
  Layout& l = s.layout;
  const std::string text = t.cell(row, "parallelism");
  const double active = double(count_parameters(s.shape).active());
  l = layout_in_text(text);
  r.moe = s.shape.is_moe();
  check_degrees(l);
  const bool said = l.tp * l.pp * l.ep > 1 || l.sharding != Sharding::kOptimizer;
  if (s.gpus <= 0) {
    s.gpus = active > 60e9 ? 2048 : active > 10e9 ? 512 : 256;
    r.reason += "number of accelerators assumed; ";
  }
  double batch_tokens = 1e6 * t.number(row, "batch_tokens_M");
  if (batch_tokens <= 0) batch_tokens = active > 60e9 ? 16e6 : 4e6;
  if (!said) {
    // Most teams will have searched for a good layout, so one is searched, on a power of two accelerators.
    for (s.gpus = std::max<int64_t>(1, s.gpus); (s.gpus & (s.gpus - 1)) != 0;) s.gpus &= s.gpus - 1;
    s.batch_seqs = std::max(s.gpus, int64_t(batch_tokens / double(s.seq_len)) / s.gpus * s.gpus);
    const LayoutSearch found = search_layouts(s, p, 1);
    if (!found.best.empty()) l = found.best[0].layout;
    r.reason += found.best.empty() ? "no layout fits, plain data parallel taken; " : fmt::format("layout searched for {}; ", s.gpus);
    return;
  }
  if (l.pp > 1) l.vp = has_word(text, "dualpipe") ? 1 : std::clamp<int64_t>(s.shape.layers / l.pp, 1, 8);
  const int64_t inner = l.tp * l.pp * l.cp;
  s.gpus = std::max<int64_t>(inner, s.gpus / inner * inner);
  const int64_t dp = l.dp(s.gpus);
  s.batch_seqs = std::max<int64_t>(dp, int64_t(batch_tokens / double(s.seq_len)) / dp * dp);
  if (l.sharding == Sharding::kWeights) l.micro_seqs = std::clamp<int64_t>(s.batch_seqs / dp, 1, std::max<int64_t>(1, 16384 / s.seq_len));
}

// Empty layout columns mean plain data parallel where that fits; else a layout is searched.
void search_what_does_not_fit(RowSetup& r, const CsvTable& t, size_t row, const CostParameters& p) {
  TrainSetup& s = r.setup;
  for (const char* column : {"TP", "PP", "CP", "EP", "VP", "FSDP", "mbs_seqs"})
    if (!t.cell(row, column).empty()) return;
  if (s.layout.sharding != Sharding::kOptimizer || needed_recompute(s) <= 1) return;
  TrainSetup searched = s;
  searched.batch_seqs = std::max(s.gpus, s.batch_seqs / s.gpus * s.gpus);
  const LayoutSearch found = search_layouts(searched, p, 1);
  if (found.best.empty()) return;
  s.layout = found.best[0].layout, s.batch_seqs = searched.batch_seqs;
  r.reason += "no layout in the row and plain data parallel does not fit: layout searched; ";
}

std::string fault_of(const TrainSetup& s) {
  if (s.gpus < 1) return "expected a number of accelerators";
  if (s.layout.tp * s.layout.pp * s.layout.cp > s.gpus) return "tp x pp x cp exceeds the accelerators";
  if (s.shape.is_moe() && s.layout.ep > s.shape.experts) return "more expert-parallel ranks than experts";
  return "";
}

RowSetup read_row_or_throw(const CsvTable& t, size_t row, const CostParameters& p) {
  RowSetup r;
  TrainSetup& s = r.setup;
  const bool campaign = t.has("tokens_T");
  FB_CHECK(t.fault(row).empty(), "{}", t.fault(row));
  const auto shape = row_shape(t, row, r.reason);
  FB_CHECK(shape.has_value(), "no shape known for model \"{}\" and none in the row", t.cell(row, "model").substr(0, 40));
  s.shape = *shape;
  r.moe = s.shape.is_moe();
  s.gpu = row_accelerator(t, row);
  s.gpus = t.integer(row, campaign ? "gpu_count" : "gpus");
  s.precision = t.cell(row, "precision").empty() ? MatrixPrecision::k16 : parse_matrix_precision(t.cell(row, "precision"));
  s.seq_len = t.integer(row, "seq_len", 4096);
  if (!campaign && t.cell(row, "seq_len").empty()) r.reason += "rows of 4096 tokens assumed; ";
  if (!campaign) s.batch_seqs = t.integer(row, "gbs_seqs");
  check_sizes(s);
  s.software_date = software_date(t, row, double(s.gpu.year) + 2.0);
  if (campaign) {
    r.tokens = 1e12 * t.number(row, "tokens_T");
    FB_CHECK(r.tokens > 0, "no tokens in the row");
    complete_campaign(r, t, row, p);
  } else {
    if (s.gpus <= 0) s.gpus = 128, r.reason += "number of accelerators assumed; ";
    read_layout_columns(r, t, row);
    check_degrees(s.layout);
    complete_step(r, t, row);
    search_what_does_not_fit(r, t, row, p);
  }
  const std::string fault = fault_of(s);
  FB_CHECK(fault.empty(), "{}", fault);
  if (s.precision != MatrixPrecision::k16 && s.gpu.fp8_tflops <= 0) {
    r.reason += fmt::format("{} has no 8-bit products, 16-bit taken; ", s.gpu.name);
    s.precision = MatrixPrecision::k16;
  }
  r.usable = true;
  return r;
}

}  // namespace

RowSetup read_row(const CsvTable& table, size_t row, const CostParameters& p) {
  try {
    return read_row_or_throw(table, row, p);
  } catch (const Error& e) {
    RowSetup failed;
    failed.reason = e.what();
    return failed;
  }
}

}  // namespace finback
