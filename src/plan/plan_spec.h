// A run as its facts (configs/plans/*.toml): what to plan, and, where it was published, what it took. Reading and validation; plans nothing.
#pragma once
#include <filesystem>

#include "base/fields.h"
#include "plan/phase_plan.h"

namespace finback {

struct PlanSpec {
  std::string name, model, hardware = "h800", precision = "bf16", layout, software;
  int64_t gpus = 0, seq_len = 4096;
  double tokens = 0, batch_tokens = 0, goodput = 0.89, rate = 0;
  std::string rate_kind = "given", rate_source, rate_date;
  std::string extend;                                           // "32768@62.9B,131072@62.9B"
  double published_hours = 0, published_pretraining_hours = 0;  // accelerator-hours of everything, of pretraining; 0: none
  std::string source;
};
template <class V>
void visit_fields(PlanSpec& s, V& v) {
  v("name", s.name, "of the run");
  v("model", s.model, "config.json, its folder, or a key of configs/cost/models.csv");
  v("hardware", s.hardware, "accelerator");
  v("gpus", s.gpus, "accelerators");
  v("precision", s.precision, "of matrix products");
  v("layout", s.layout, "empty: searched");
  v("software", s.software, "year-month of the software");
  v("seq_len", s.seq_len, "tokens a row");
  v("tokens", s.tokens, "trained tokens");
  v("batch_tokens", s.batch_tokens, "tokens per step");
  v("goodput", s.goodput, "ideal hours / charged hours");
  v("rate", s.rate, "dollars an accelerator-hour; 0: configs/prices.toml");
  v("rate_kind", s.rate_kind, "what sort of rate");
  v("rate_source", s.rate_source, "who says it");
  v("rate_date", s.rate_date, "when");
  v("extend", s.extend, "context extension: LENGTH@TOKENS, ...");
  v("published_hours", s.published_hours, "accelerator-hours published for all of it");
  v("published_pretraining_hours", s.published_pretraining_hours, "accelerator-hours published for pretraining");
  v("source", s.source, "where the published figures are from");
}

PlanSpec load_plan_spec(const std::filesystem::path& path);
// "14.8T", "126B", "4M", "1e12"; throws Error that names `what`.
double parse_count(const std::string& text, const std::string& what);
// A config.json or its folder, else a key or name of the shape table; `fp8_blocks` is set when the config's weights have 128 x 128 scales.
ModelShape load_shape(const std::string& model, bool* fp8_blocks = nullptr);
// All phases of a spec; validates every field.
std::vector<PhaseRequest> phases_of(const PlanSpec& spec);

}  // namespace finback
