#include "train/step_record.h"

#include <algorithm>

#include "base/timer.h"

namespace finback {

Json step_line(const StepRecord& record, const StepPlace& place, const std::vector<RouterStats>& router, const StepClock& clock) {
  const StepSettings& settings = record.settings;
  const StepResult& result = record.result;
  return {{"kind", "step"},
          {"step", settings.step},
          {"tokens", place.tokens},
          {"batch_tokens", place.batch_tokens},
          {"valid_targets", result.valid_targets},
          {"loss", result.loss},
          {"main_loss", result.main_loss},
          {"mtp_loss", result.mtp_loss},
          {"balance_loss", result.balance_loss},
          {"z_loss", result.z_loss},
          {"bpb", result.bpb},
          {"mtp_acceptance", result.mtp_acceptance},
          {"lr", settings.lr},
          {"mtp_lambda", settings.loss.mtp_lambda},
          {"bias_update_speed", settings.bias_update_speed},
          {"grad_norm", result.grad_norm},
          {"clip_scale", record.clip_scale},
          {"router", router_json(router)},
          {"time", utc_now()},
          {"elapsed_s", clock.elapsed_s},
          {"step_s", clock.step_s},
          {"tokens_per_s", clock.tokens_per_s},
          {"peak_share", clock.peak_share},
          {"usd", clock.usd}};
}

Json eval_line(int64_t step, int64_t tokens, const Validation& validation, double elapsed_s) {
  return {{"kind", "eval"},
          {"step", step},
          {"tokens", tokens},
          {"val_bpb", validation.bpb},
          {"val_loss", validation.loss},
          {"val_targets", validation.targets},
          {"val_bytes", validation.bytes},
          {"val_mtp_loss", validation.mtp_loss},
          {"val_mtp_acceptance", validation.mtp_acceptance},
          {"time", utc_now()},
          {"elapsed_s", elapsed_s}};
}

namespace {

using Figure = std::optional<double> PrecisionFigures::*;
constexpr std::pair<const char*, Figure> kFigures[] = {{"x", &PrecisionFigures::x},   {"w", &PrecisionFigures::w},
                                                       {"y", &PrecisionFigures::y},   {"dy", &PrecisionFigures::dy},
                                                       {"dx", &PrecisionFigures::dx}, {"dw", &PrecisionFigures::dw}};

}  // namespace

Json audit_line(int64_t step, const PrecisionAudit& audit, const std::vector<std::string>& fell_back,
                const std::vector<std::string>& fallen_back, double elapsed_s) {
  Json line = {{"kind", "audit"}, {"step", step}, {"linear", Json::array()}};
  for (const auto& [linear, figures] : audit.figures()) {
    line["linear"].push_back(linear);
    for (const auto& [name, figure] : kFigures) {
      const std::optional<double>& value = figures.*figure;
      line[name].push_back(value ? Json(*value) : Json());
    }
  }
  line["fell_back"] = fell_back;
  line["fallen_back"] = fallen_back;
  line["time"] = utc_now();
  line["elapsed_s"] = elapsed_s;
  return line;
}

std::vector<std::pair<std::string, double>> audit_scalars(const PrecisionAudit& audit, const std::vector<std::string>& fallen_back) {
  std::vector<std::pair<std::string, double>> scalars = {{"fp8/fallen_back", double(fallen_back.size())}};
  for (const auto& [name, figure] : kFigures) {
    std::optional<double> lowest;
    for (const auto& [linear, figures] : audit.figures()) {
      const std::optional<double>& value = figures.*figure;
      if (value && (!lowest || *value < *lowest)) lowest = value;
    }
    if (lowest) scalars.emplace_back(fmt::format("fp8/snr_{}_worst", name), *lowest);
  }
  return scalars;
}

Json sample_line(int64_t step, const std::string& prompt, const std::string& text, double elapsed_s) {
  return {{"kind", "sample"}, {"step", step}, {"prompt", prompt}, {"text", text}, {"time", utc_now()}, {"elapsed_s", elapsed_s}};
}

std::vector<std::pair<std::string, double>> step_scalars(const StepRecord& record, const StepPlace& place,
                                                         const std::vector<RouterStats>& router, const StepClock& clock) {
  const StepResult& result = record.result;
  std::vector<std::pair<std::string, double>> scalars = {{"train/loss", result.loss},
                                                         {"train/main_loss", result.main_loss},
                                                         {"train/balance_loss", result.balance_loss},
                                                         {"train/bpb", result.bpb},
                                                         {"train/lr", record.settings.lr},
                                                         {"train/grad_norm", result.grad_norm},
                                                         {"train/tokens", double(place.tokens)},
                                                         {"speed/tokens_per_s", clock.tokens_per_s},
                                                         {"speed/peak_share", clock.peak_share},
                                                         {"cost/usd", clock.usd}};
  if (result.z_loss != 0) scalars.emplace_back("train/z_loss", result.z_loss);
  for (size_t k = 0; k < result.mtp_loss.size(); ++k) {
    scalars.emplace_back(fmt::format("train/mtp_loss_{}", k), result.mtp_loss[k]);
    scalars.emplace_back(fmt::format("train/mtp_acceptance_{}", k), result.mtp_acceptance[k]);
  }
  double worst = 0, bias_low = 0, bias_high = 0;
  int64_t dead = 0;
  for (const RouterStats& layer : router) {
    scalars.emplace_back(fmt::format("router/max_vio_layer_{}", layer.layer), layer.max_vio);
    worst = std::max(worst, layer.max_vio);
    dead += layer.dead;
    bias_low = std::min(bias_low, layer.bias_min);
    bias_high = std::max(bias_high, layer.bias_max);
  }
  if (router.empty()) return scalars;
  scalars.emplace_back("router/max_vio_worst", worst);
  scalars.emplace_back("router/dead_experts", double(dead));
  scalars.emplace_back("router/bias_min", bias_low);
  scalars.emplace_back("router/bias_max", bias_high);
  return scalars;
}

std::vector<std::pair<std::string, double>> eval_scalars(const Validation& validation) {
  std::vector<std::pair<std::string, double>> scalars = {{"val/bpb", validation.bpb}, {"val/loss", validation.loss}};
  for (size_t k = 0; k < validation.mtp_acceptance.size(); ++k) {
    scalars.emplace_back(fmt::format("val/mtp_loss_{}", k), validation.mtp_loss[k]);
    scalars.emplace_back(fmt::format("val/mtp_acceptance_{}", k), validation.mtp_acceptance[k]);
  }
  return scalars;
}

}  // namespace finback
