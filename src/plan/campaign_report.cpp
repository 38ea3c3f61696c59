#include "plan/campaign_report.h"

#include <utility>
#include <vector>

#include "base/timer.h"
#include "cost/electricity.h"

namespace finback {
namespace {

using NamedFigures = std::vector<std::pair<const char*, double>>;

// Parts of a step; `compute` is the sum of the three after it.
NamedFigures step_parts(const StepTime& t) {
  return {{"compute", t.kernels()},   {"gemm", t.gemm},
          {"attention", t.attention}, {"element_wise", t.traffic},
          {"recompute", t.recompute}, {"host", t.host},
          {"exposed_tp", t.tp},       {"exposed_pp", t.pp},
          {"exposed_cp", t.cp},       {"exposed_ep", t.ep},
          {"exposed_dp", t.dp},       {"bubble", t.bubble},
          {"optimizer", t.optimizer}, {"waiting_for_the_slowest", t.straggle}};
}

NamedFigures memory_parts(const StageMemory& m) {
  return {{"weights", m.weights},         {"gradients", m.gradients}, {"optimizer", m.optimizer},
          {"activations", m.activations}, {"buffers", m.buffers},     {"total", m.total()}};
}

void set_figures(Json& json, const NamedFigures& figures) {
  for (const auto& [name, value] : figures) json[name] = value;
}

Json memory_json(const StageMemory& m) {
  Json json;
  set_figures(json, memory_parts(m));
  return json;
}

Json step_json(const PhasePlan& plan) {
  Json json = {{"total", interval_json(plan.step_s)}};
  set_figures(json, step_parts(plan.chosen.time));
  return json;
}

Json search_json(const LayoutSearch& search) {
  Json list = Json::array();
  for (const TimedLayout& c : search.best)
    list.push_back({{"layout", layout_name(c.layout)},
                    {"tokens_per_s_per_gpu", c.tokens_per_s},
                    {"memory_bytes", c.memory.total()},
                    {"recomputed", c.recomputed}});
  Json json = {{"best", list}, {"tried", search.tried}, {"too_big", search.too_big}, {"indivisible", search.indivisible}};
  if (search.too_big > 0)
    json["smallest_too_big"] = {{"layout", layout_name(search.nearest.layout)}, {"bytes", search.nearest.memory.total()}};
  return json;
}

Json dollars_json(const std::vector<PricedHours>& dollars) {
  Json list = Json::array();
  for (const auto& [price, usd] : dollars)
    list.push_back({{"usd", interval_json(usd)},
                    {"usd_per_hour", price.usd_per_hour},
                    {"kind", price.kind},
                    {"date", price.date},
                    {"what", price.what},
                    {"source", price.source}});
  return list;
}

std::string mfu_convention(const PhasePlan& plan) {
  return fmt::format("6 P + causal attention, without MTP, on the dense 16-bit peak of {} TFLOP/s", plan.request.setup.gpu.bf16_tflops);
}

std::vector<std::string> assumptions(const PhasePlan& plan) {
  const TrainSetup& s = plan.request.setup;
  return {fmt::format("software of {:.1f}", s.software_date),
          s.shape.is_moe() ? "routing balanced over experts" : "dense",
          s.gpu.matmul_bf16_tflops > 0 ? "measured matrix-product ceilings" : "ceilings estimated from peaks",
          fmt::format("goodput {:.2f}: restarts, evaluations, checkpoints, ramps", plan.request.goodput),
          fmt::format("intervals of hours and dollars: published campaigns reach {:.2f} of the planned speed",
                      practice_share(s.shape.is_moe(), fitted_parameters())),
          fmt::format("boards draw {:.0f} % of {} W, the facility {} times that", 100 * kBoardDraw, s.gpu.tdp_w, kFacilityDraw),
          "interval: meant to hold 80 % of unseen runs; how well it does: docs/cost-model.md"};
}

Json phase_json(const PhasePlan& plan) {
  const PhaseRequest& r = plan.request;
  const TrainSetup& s = r.setup;
  Json json;
  json["phase"] = r.phase;
  json["accelerator"] = s.gpu.name;
  json["accelerators"] = s.gpus;
  json["precision"] = matrix_precision_name(s.precision);
  json["tokens"] = r.tokens;
  json["seq_len"] = s.seq_len;
  json["batch_seqs"] = s.batch_seqs;
  json["layout"] = layout_name(s.layout);
  json["flops_per_token"] = {
      {"causal", plan.flops_causal}, {"full_attention", plan.flops_full}, {"mtp", plan.flops_mtp}, {"recompute", plan.flops_recompute}};
  json["step_seconds"] = step_json(plan);
  json["tokens_per_s_per_gpu"] = interval_json(plan.tokens_per_s);
  json["tflops_per_gpu"] = interval_json(plan.tflops);
  json["mfu"] = {{"share", plan.peak_shares.mfu},
                 {"full_attention", plan.peak_shares.mfu_full_attention},
                 {"with_mtp", plan.peak_shares.mfu_with_mtp},
                 {"hfu", plan.peak_shares.hfu},
                 {"convention", mfu_convention(plan)}};
  json["memory_bytes"] = memory_json(plan.chosen.memory);
  json["memory_bytes"]["usable"] = plan.usable_memory;
  json["memory_bytes_of_stages"] = Json::array();
  for (const StageMemory& stage : plan.stages) json["memory_bytes_of_stages"].push_back(memory_json(stage));
  json["recomputed_share"] = plan.chosen.recomputed;
  json["ideal_hours"] = interval_json(plan.ideal_hours);
  json["goodput"] = r.goodput;
  json["campaign_hours"] = interval_json(plan.hours);
  json["days"] = interval_json(plan.days);
  json["energy_mwh"] = {{"accelerators", interval_json(plan.board_mwh)}, {"facility", interval_json(plan.facility_mwh)}};
  json["dollars"] = dollars_json(plan.dollars);
  // Reports that multiply steady-state hours by a rent call this the cost.
  if (r.price.usd_per_hour > 0) json["dollars_of_ideal_hours"] = plan.ideal_usd;
  if (!r.layout_given) json["search"] = search_json(plan.search);
  json["assumptions"] = assumptions(plan);
  return json;
}

// A line for each name with its value.
struct NamedLines {
  std::string text;
  void operator()(const char* name, const std::string& value) { text += fmt::format("  {:<20} {}\n", name, value); }
};

std::string three(const Interval& x, const std::string& unit) {
  return fmt::format("{}, {}, {} {}", human_figure(x.low), human_figure(x.mid), human_figure(x.high), unit);
}

void step_lines(NamedLines& line, const PhasePlan& plan) {
  const double total = plan.chosen.time.total();
  line("step", three(plan.step_s, "s"));
  for (const auto& [name, seconds] : step_parts(plan.chosen.time))
    if (seconds >= 5e-4 * total) line("", fmt::format("{:<24} {:>9.4f} s {:>5.1f} %", name, seconds, 100 * seconds / total));
  line("tokens/s/accelerator", three(plan.tokens_per_s, ""));
  const PeakShares& m = plan.peak_shares;
  line("MFU", fmt::format("{:.1f} % ({}); full attention {:.1f} %, with MTP {:.1f} %, HFU {:.1f} %", 100 * m.mfu, mfu_convention(plan),
                          100 * m.mfu_full_attention, 100 * m.mfu_with_mtp, 100 * m.hfu));
}

void memory_lines(NamedLines& line, const PhasePlan& plan) {
  std::string parts, totals;
  for (const auto& [name, bytes] : memory_parts(plan.chosen.memory)) parts += fmt::format("{} {}, ", name, human_bytes(bytes));
  line("memory, fullest", parts + "usable " + human_bytes(plan.usable_memory));
  for (const StageMemory& stage : plan.stages) totals += fmt::format("{:.0f} ", stage.total() / 1073741824);
  if (plan.stages.size() > 1) line("memory by stage", totals + "GiB");
}

void dollar_lines(NamedLines& line, const PhasePlan& plan) {
  for (const auto& [price, usd] : plan.dollars)
    line("dollars", three(usd, "") + fmt::format("= hours x ${:.2f} ({}{}: {} [{}])", price.usd_per_hour, price.kind,
                                                 price.date.empty() ? "" : ", " + price.date, price.what, price.source));
  if (plan.dollars.empty())
    line("dollars", fmt::format("no price for {} in configs/prices.toml. Hint: --rate USD", plan.request.setup.gpu.name));
  const Price& first = plan.request.price;
  if (first.usd_per_hour > 0)
    line("", fmt::format("${} for the ideal hours at ${:.2f} ({})", human_figure(plan.ideal_usd), first.usd_per_hour, first.kind));
}

void search_lines(NamedLines& line, const LayoutSearch& search) {
  for (const TimedLayout& c : search.best)
    line("searched", fmt::format("{:<44} {:>8.1f} tokens/s, {}", layout_name(c.layout), c.tokens_per_s, human_bytes(c.memory.total())));
  const std::string smallest = search.too_big == 0
                                   ? ""
                                   : fmt::format(" (the smallest of them, {}, needs {})", layout_name(search.nearest.layout),
                                                 human_bytes(search.nearest.memory.total()));
  line("", fmt::format("{} tried, {} do not divide, {} do not fit{}", search.tried, search.indivisible, search.too_big, smallest));
}

std::string phase_text(const PhasePlan& plan) {
  const PhaseRequest& r = plan.request;
  const TrainSetup& s = r.setup;
  NamedLines line;
  line.text = fmt::format("{}: {} tokens at {} on {} x {}, {}\n", r.phase, human_count(r.tokens), s.seq_len, s.gpus, s.gpu.title,
                          matrix_precision_name(s.precision));
  line("", "low, mid, high where three numbers stand");
  line("model", fmt::format("{}, {} parameters, {} active", s.shape.name, human_figure(double(plan.parameters.total())),
                            human_figure(double(plan.parameters.active()))));
  line("batch", fmt::format("{} rows, {} tokens per step", s.batch_seqs, human_figure(double(s.batch_seqs * s.seq_len))));
  line("layout", layout_name(s.layout) + (r.layout_given ? " (given)" : " (searched)"));
  line("FLOPs per token", fmt::format("{:.4g} G causal, {:.4g} G full attention, MTP {:.3g} G, recompute {:.3g} G", plan.flops_causal / 1e9,
                                      plan.flops_full / 1e9, plan.flops_mtp / 1e9, plan.flops_recompute / 1e9));
  step_lines(line, plan);
  memory_lines(line, plan);
  line("ideal hours", three(plan.ideal_hours, "accelerator-hours"));
  line("campaign hours", three(plan.hours, fmt::format("accelerator-hours at goodput {:.2f}", r.goodput)));
  line("days", three(plan.days, ""));
  line("energy", three(plan.board_mwh, "MWh of the boards; ") + three(plan.facility_mwh, "MWh of the facility"));
  dollar_lines(line, plan);
  if (!r.layout_given) search_lines(line, plan.search);
  for (const std::string& assumed : assumptions(plan)) line("assumed", assumed);
  return line.text;
}

}  // namespace

Json campaign_json(const CampaignPlan& c) {
  Json json;
  json["phases"] = Json::array();
  for (const PhasePlan& phase : c.phases) json["phases"].push_back(phase_json(phase));
  json["total"] = {{"ideal_hours", c.ideal_hours},
                   {"campaign_hours", c.hours},
                   {"usd", c.usd > 0 ? Json(c.usd) : Json()},
                   {"research_multiplier", "1.5 to 5.6 times the final run (arXiv 2503.05804, 2605.01158), not in these figures"}};
  if (!c.rl) return json;
  json["rl"] = rl_json(*c.rl);
  json["total"]["with_rl_hours"] = c.hours_with_rl;
  json["total"]["with_rl_usd"] = c.usd_with_rl > 0 ? Json(c.usd_with_rl) : Json();
  return json;
}

std::string campaign_text(const CampaignPlan& c) {
  std::string text;
  for (const PhasePlan& phase : c.phases) text += phase_text(phase) + "\n";
  text += fmt::format(
      "total: {} ideal hours, {} campaign hours, {}. Research around a final run: 1.5 to 5.6 times it (arXiv 2503.05804,\n"
      "2605.01158), not in these figures. Not included: people, data, storage, network, failed runs.\n",
      human_figure(c.ideal_hours), human_figure(c.hours), c.usd > 0 ? "$" + human_figure(c.usd) : "no price");
  if (!c.rl) return text;
  text += rl_text(*c.rl);
  text += fmt::format("total with reinforcement learning: {} hours{}\n", human_figure(c.hours_with_rl),
                      c.usd_with_rl > 0 ? ", $" + human_figure(c.usd_with_rl) : "");
  return text;
}

}  // namespace finback
