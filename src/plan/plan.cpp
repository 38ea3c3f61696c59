#include "plan/plan.h"

#include <cmath>

#include "base/timer.h"
#include "cost/electricity.h"

namespace finback {
namespace {

// A datacentre draws more than its boards (arXiv 2605.01158: 1.74).
constexpr double kFacility = 1.74;

[[noreturn]] void fail_too_big(const PhaseRequest& r, const LayoutSearch& found, const CostParameters& p) {
  const TrainSetup& s = r.setup;
  std::string hint;
  if (const int64_t gpus = fewest_accelerators(s, p); gpus > s.gpus) hint = fmt::format(". Nearest that fits: --gpus {}", gpus);
  if (found.too_big == 0)
    FB_FAIL("{}: none of {} layouts divides {} accelerators, {} sequences of {} tokens and this model. Hint: --batch-tokens, --gpus",
            r.phase, found.tried, s.gpus, s.batch_seqs, s.seq_len);
  FB_FAIL("{}: no layout fits {} x {} ({} usable each): the smallest, {}, needs {}{}", r.phase, s.gpus, s.gpu.title,
          human_bytes(usable_memory(s.gpu)), layout_name(found.nearest.layout), human_bytes(found.nearest.memory.total()), hint);
}

void choose_layout(PhasePlan& plan, const CostParameters& p) {
  TrainSetup& s = plan.request.setup;
  if (!plan.request.layout_given) {
    plan.search = search_layouts(s, p, 5);
    if (plan.search.best.empty()) fail_too_big(plan.request, plan.search, p);
    plan.chosen = plan.search.best[0];
    s.layout = plan.chosen.layout;
    return;
  }
  const std::string fault = layout_fault(s.layout, s.shape, s.gpus, s.batch_seqs, s.seq_len);
  FB_CHECK(fault.empty(), "--layout {}: {}. Hint: leave --layout out to have one searched", layout_name(s.layout), fault);
  plan.chosen = weigh_layout(s, p);
  const double room = usable_memory(s.gpu);
  if (plan.chosen.memory.total() > room * (1 + 1e-9)) {
    const LayoutSearch found = search_layouts(s, p, 1);
    if (found.best.empty()) fail_too_big(plan.request, found, p);
    FB_FAIL("--layout {}: needs {} of {} usable on {}. Nearest that fits: --layout {}", layout_name(s.layout),
            human_bytes(plan.chosen.memory.total()), human_bytes(room), s.gpu.title, layout_name(found.best[0].layout));
  }
}

Json range(double mid, double spread) { return {{"low", mid / spread}, {"mid", mid}, {"high", mid * spread}}; }

Json step_json(const PhasePlan& plan) {
  const StepTime& t = plan.chosen.time;
  return {{"total", range(t.total(), plan.spread)},
          {"compute", t.gemm + t.attention + t.traffic},
          {"gemm", t.gemm},
          {"attention", t.attention},
          {"element_wise", t.traffic},
          {"recompute", t.recompute},
          {"host", t.host},
          {"exposed_tp", t.tp},
          {"exposed_pp", t.pp},
          {"exposed_cp", t.cp},
          {"exposed_ep", t.ep},
          {"exposed_dp", t.dp},
          {"bubble", t.bubble},
          {"optimizer", t.optimizer},
          {"waiting_for_the_slowest", t.straggle}};
}

Json memory_json(const StageMemory& m) {
  return {{"weights", m.weights},         {"gradients", m.gradients}, {"optimizer", m.optimizer},
          {"activations", m.activations}, {"buffers", m.buffers},     {"total", m.total()}};
}

Json search_json(const LayoutSearch& search) {
  Json list = Json::array();
  for (const Candidate& c : search.best)
    list.push_back({{"layout", layout_name(c.layout)},
                    {"tokens_per_s_per_gpu", c.tokens_per_s},
                    {"memory_bytes", c.memory.total()},
                    {"recomputed", c.recomputed}});
  Json json = {{"best", list}, {"tried", search.tried}, {"too_big", search.too_big}, {"indivisible", search.indivisible}};
  if (search.too_big > 0)
    json["smallest_too_big"] = {{"layout", layout_name(search.nearest.layout)}, {"bytes", search.nearest.memory.total()}};
  return json;
}

Json price_json(const Price& price, double hours, bool moe) {
  return {{"usd", campaign_range(price.usd_per_hour * hours, moe)},
          {"usd_per_hour", price.usd_per_hour},
          {"kind", price.kind},
          {"date", price.date},
          {"what", price.what},
          {"source", price.source}};
}

Json assumptions(const PhasePlan& plan) {
  const TrainSetup& s = plan.request.setup;
  return {fmt::format("software of {:.1f}", s.software_date),
          s.shape.is_moe() ? "routing balanced over experts" : "dense",
          s.gpu.matmul_bf16_tflops > 0 ? "measured matrix-product ceilings" : "ceilings estimated from peaks",
          fmt::format("goodput {:.2f}: restarts, evaluations, checkpoints, ramps", plan.request.goodput),
          fmt::format("intervals of hours and dollars: published campaigns reach {:.2f} of the planned speed",
                      practice_share(s.shape.is_moe(), fitted_parameters())),
          fmt::format("boards draw {:.0f} % of {} W, the facility {} times that", 100 * kBoardDraw, s.gpu.tdp_w, kFacility),
          "interval: meant to hold 80 % of unseen runs; how well it does: docs/cost-model.md"};
}

Json phase_json(const PhasePlan& plan) {
  const PhaseRequest& r = plan.request;
  const TrainSetup& s = r.setup;
  const double rate = plan.chosen.tokens_per_s, mtp = plan.flops_mtp;
  const double again = plan.chosen.time.recompute > 0 ? plan.chosen.recomputed / 3 : 0;
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
      {"causal", plan.flops_causal}, {"full_attention", plan.flops_full}, {"mtp", mtp}, {"recompute", again * (plan.flops_causal + mtp)}};
  json["step_seconds"] = step_json(plan);
  json["tokens_per_s_per_gpu"] = range(rate, plan.spread);
  json["tflops_per_gpu"] = range(rate * plan.flops_causal / 1e12, plan.spread);
  json["mfu"] = {
      {"share", rate * plan.flops_causal / (s.gpu.bf16_tflops * 1e12)},
      {"full_attention", rate * plan.flops_full / (s.gpu.bf16_tflops * 1e12)},
      {"with_mtp", rate * (plan.flops_causal + mtp) / (s.gpu.bf16_tflops * 1e12)},
      {"hfu", rate * (1 + again) * (plan.flops_causal + mtp) / (s.gpu.bf16_tflops * 1e12)},
      {"convention", fmt::format("6 P + causal attention, without MTP, on the dense 16-bit peak of {} TFLOP/s", s.gpu.bf16_tflops)}};
  json["memory_bytes"] = memory_json(plan.chosen.memory);
  json["memory_bytes"]["usable"] = usable_memory(s.gpu);
  json["memory_bytes_of_stages"] = Json::array();
  for (int64_t stage = 0; stage < s.layout.pp; ++stage)
    json["memory_bytes_of_stages"].push_back(memory_json(stage_memory(s, std::min(1.0, plan.chosen.recomputed), stage)));
  json["recomputed_share"] = plan.chosen.recomputed;
  json["ideal_hours"] = range(plan.ideal_hours, plan.spread);
  json["goodput"] = r.goodput;
  const bool moe = s.shape.is_moe();
  json["campaign_hours"] = campaign_range(plan.hours, moe);
  json["days"] = campaign_range(plan.days, moe);
  json["energy_mwh"] = {{"accelerators", campaign_range(plan.joules / 3.6e9, moe)},
                        {"facility", campaign_range(plan.facility_joules / 3.6e9, moe)}};
  json["dollars"] = Json::array();
  for (const Price* price : {&r.price, &r.second_price})
    if (price->usd_per_hour > 0) json["dollars"].push_back(price_json(*price, plan.hours, moe));
  // At the ideal hours: what reports that multiply steady-state hours by a rent call the cost.
  if (r.price.usd_per_hour > 0) json["dollars_of_ideal_hours"] = r.price.usd_per_hour * plan.ideal_hours;
  if (!r.layout_given) json["search"] = search_json(plan.search);
  json["assumptions"] = assumptions(plan);
  return json;
}

std::string three(const Json& json, const char* unit) {
  return fmt::format("{}, {}, {} {}", human_figure(json["low"].get<double>()), human_figure(json["mid"].get<double>()),
                     human_figure(json["high"].get<double>()), unit);
}

std::string phase_text(const PhasePlan& plan) {
  const Json j = phase_json(plan);
  std::string text;
  const auto line = [&](const char* name, const std::string& value) { text += fmt::format("  {:<20} {}\n", name, value); };
  const TrainSetup& s = plan.request.setup;
  text += fmt::format("{}: {} tokens at {} on {} x {}, {}\n", plan.request.phase, human_count(plan.request.tokens), s.seq_len, s.gpus,
                      s.gpu.title, matrix_precision_name(s.precision));
  line("", "low, mid, high where three numbers stand");
  line("model", fmt::format("{}, {} parameters, {} active", s.shape.name, human_figure(count_parameters(s.shape).total),
                            human_figure(count_parameters(s.shape).active)));
  line("batch", fmt::format("{} rows, {} tokens a step", s.batch_seqs, human_figure(double(s.batch_seqs * s.seq_len))));
  line("layout", layout_name(s.layout) + (plan.request.layout_given ? " (given)" : " (searched)"));
  const Json& f = j["flops_per_token"];
  line("FLOPs a token",
       fmt::format("{:.4g} G causal, {:.4g} G full attention, MTP {:.3g} G, recompute {:.3g} G", f["causal"].get<double>() / 1e9,
                   f["full_attention"].get<double>() / 1e9, f["mtp"].get<double>() / 1e9, f["recompute"].get<double>() / 1e9));
  line("step", three(j["step_seconds"]["total"], "s"));
  for (const auto& [name, value] : j["step_seconds"].items())
    if (value.is_number() && value.get<double>() >= 5e-4 * plan.chosen.time.total())
      line("",
           fmt::format("{:<24} {:>9.4f} s {:>5.1f} %", name, value.get<double>(), 100 * value.get<double>() / plan.chosen.time.total()));
  line("tokens/s/accelerator", three(j["tokens_per_s_per_gpu"], ""));
  const Json& m = j["mfu"];
  line("MFU", fmt::format("{:.1f} % ({}); full attention {:.1f} %, with MTP {:.1f} %, HFU {:.1f} %", 100 * m["share"].get<double>(),
                          m["convention"].get<std::string>(), 100 * m["full_attention"].get<double>(), 100 * m["with_mtp"].get<double>(),
                          100 * m["hfu"].get<double>()));
  std::string parts;
  for (const auto& [name, value] : j["memory_bytes"].items()) parts += fmt::format("{} {}, ", name, human_bytes(value.get<double>()));
  line("memory, fullest", parts.substr(0, parts.size() - 2));
  std::string totals;
  for (const Json& stage : j["memory_bytes_of_stages"]) totals += fmt::format("{:.0f} ", stage["total"].get<double>() / 1073741824);
  if (s.layout.pp > 1) line("memory by stage", totals + "GiB");
  line("ideal hours", three(j["ideal_hours"], "accelerator-hours"));
  line("campaign hours", three(j["campaign_hours"], fmt::format("accelerator-hours at goodput {:.2f}", plan.request.goodput).c_str()));
  line("days", three(j["days"], ""));
  line("energy", three(j["energy_mwh"]["accelerators"], "MWh of the boards; ") + three(j["energy_mwh"]["facility"], "MWh of the facility"));
  for (const Json& d : j["dollars"]) {
    const std::string date = d["date"].get<std::string>();
    line("dollars", three(d["usd"], "") + fmt::format("= hours x ${:.2f} ({}{}: {} [{}])", d["usd_per_hour"].get<double>(),
                                                      d["kind"].get<std::string>(), date.empty() ? "" : ", " + date,
                                                      d["what"].get<std::string>(), d["source"].get<std::string>()));
  }
  if (j["dollars"].empty()) line("dollars", fmt::format("no price for {} in configs/prices.toml. Hint: --rate USD", s.gpu.name));
  if (plan.request.price.usd_per_hour > 0)
    line("", fmt::format("${} for the ideal hours at ${:.2f} ({})", human_figure(j["dollars_of_ideal_hours"].get<double>()),
                         plan.request.price.usd_per_hour, plan.request.price.kind));
  if (j.contains("search")) {
    const LayoutSearch& search = plan.search;
    for (const Candidate& c : search.best)
      line("searched", fmt::format("{:<44} {:>8.1f} tokens/s, {}", layout_name(c.layout), c.tokens_per_s, human_bytes(c.memory.total())));
    line("", fmt::format("{} tried, {} do not divide, {} do not fit{}", search.tried, search.indivisible, search.too_big,
                         search.too_big == 0 ? ""
                                             : fmt::format(" (the smallest of them, {}, needs {})", layout_name(search.nearest.layout),
                                                           human_bytes(search.nearest.memory.total()))));
  }
  for (const Json& a : j["assumptions"]) line("assumed", a.get<std::string>());
  return text;
}

}  // namespace

double step_spread(bool moe, const CostParameters& p) { return moe ? p.spread_step_moe : p.spread_step_dense; }
double practice_share(bool moe, const CostParameters& p) { return moe ? p.practice_moe : p.practice_dense; }
double campaign_spread(bool moe, const CostParameters& p) { return moe ? p.spread_hours_moe : p.spread_hours_dense; }

Json campaign_range(double mid, bool moe) {
  const CostParameters& p = fitted_parameters();
  const double usual = mid / practice_share(moe, p), spread = campaign_spread(moe, p);
  return {{"low", usual / spread}, {"mid", mid}, {"high", usual * spread}};
}

PhasePlan plan_phase(const PhaseRequest& request, const CostParameters& p) {
  PhasePlan plan;
  plan.request = request;
  choose_layout(plan, p);
  const TrainSetup& s = plan.request.setup;
  plan.flops_causal = train_flops(s.shape, double(s.seq_len), true, false);
  plan.flops_full = train_flops(s.shape, double(s.seq_len), false, false);
  plan.flops_mtp = train_flops(s.shape, double(s.seq_len), true, true) - plan.flops_causal;
  plan.spread = step_spread(s.shape.is_moe(), p);
  plan.ideal_hours = request.tokens / plan.chosen.tokens_per_s / 3600;
  plan.hours = plan.ideal_hours / request.goodput;
  plan.days = plan.hours / double(s.gpus) / 24;
  plan.joules = plan.hours * 3600 * s.gpu.tdp_w * kBoardDraw;
  plan.facility_joules = plan.joules * kFacility;
  plan.usd = plan.hours * request.price.usd_per_hour;
  return plan;
}

Json plan_json(const std::vector<PhasePlan>& phases) {
  Json json;
  json["phases"] = Json::array();
  double hours = 0, ideal = 0, usd = 0;
  for (const PhasePlan& plan : phases) {
    json["phases"].push_back(phase_json(plan));
    hours += plan.hours, ideal += plan.ideal_hours, usd += plan.usd;
  }
  json["total"] = {{"ideal_hours", ideal},
                   {"campaign_hours", hours},
                   {"usd", usd > 0 ? Json(usd) : Json()},
                   {"research_multiplier", "1.5 to 5.6 times the final run (arXiv 2503.05804, 2605.01158), not in these figures"}};
  return json;
}

std::string plan_text(const std::vector<PhasePlan>& phases) {
  std::string text;
  double hours = 0, ideal = 0, usd = 0;
  for (const PhasePlan& plan : phases) {
    text += phase_text(plan) + "\n";
    hours += plan.hours, ideal += plan.ideal_hours, usd += plan.usd;
  }
  text += fmt::format(
      "total: {} ideal hours, {} campaign hours, {}. Research around a final run: 1.5 to 5.6 times it (arXiv 2503.05804,\n"
      "2605.01158), not in these figures. Not included: people, data, storage, network, failed runs.\n",
      human_figure(ideal), human_figure(hours), usd > 0 ? "$" + human_figure(usd) : "no price");
  return text;
}

}  // namespace finback
