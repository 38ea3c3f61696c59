#include "cost/model_report.h"

#include "base/timer.h"
#include "cost/cache_bytes.h"
#include "cost/flops.h"

namespace finback {
namespace {

std::string count_text(int64_t value) { return human_count(double(value)); }

std::string parts_text(const std::vector<NamedCount>& parts) {
  std::string text;
  for (const auto& [name, parameters] : parts) {
    const char* note = name == std::string("mtp_modules") ? "   (not in the total)" : "";
    text += fmt::format("  {:<15} {:>10} {:>18}{}\n", name, count_text(parameters), parameters, note);
  }
  return text;
}

Json parameters_json(const ParameterCount& p) {
  Json json = {{"total", p.total()}, {"active", p.active()}};
  for (const auto& [name, count] : named_counts(p)) {
    json[name] = count;
    if (name == std::string("routed_experts")) json["active_routed_experts"] = p.layers.active_routed;
  }
  json["total_with_mtp"] = p.total_with_mtp();
  return json;
}

Json memory_json(const std::vector<MemoryPart>& parts) {
  Json json;
  for (const auto& [name, bytes] : parts) json[name] = bytes;
  json["total"] = total_bytes(parts);
  return json;
}

// A row a part, a column a precision: what `train` and `generate` count before they start.
std::string memory_table(const std::vector<ModelReport::Memory>& columns) {
  std::string text = fmt::format("{:<18}", "");
  for (const auto& [precision, parts] : columns) text += fmt::format(" {:>10}", precision_name(precision));
  text += "\n";
  const auto row = [&](const std::string& name, auto bytes_of) {
    text += fmt::format("  {:<16}", name);
    for (const auto& [precision, parts] : columns) text += fmt::format(" {:>10}", human_bytes(bytes_of(parts)));
    text += "\n";
  };
  for (size_t i = 0; i < columns[0].parts.size(); ++i)
    row(columns[0].parts[i].name, [&](const std::vector<MemoryPart>& parts) { return parts[i].bytes; });
  row("total", total_bytes);
  return text;
}

}  // namespace

ModelReport report_model(const ModelConfig& config, int64_t seq_len) {
  const ModelShape shape = shape_of(config);
  const bool mtp = shape.mtp > 0;
  const auto flops = [&](AttentionCount attention, bool with_mtp) {
    return train_flops_per_token(shape, double(seq_len), attention, with_mtp);
  };
  ModelReport r;
  r.config = config;
  r.seq_len = seq_len;
  r.parameters = count_parameters(shape);
  r.train_causal = flops(AttentionCount::kCausal, false);
  r.train_full_attention = flops(AttentionCount::kFull, false);
  r.train_causal_with_mtp = flops(AttentionCount::kCausal, mtp);
  r.decode = decode_flops_per_token(shape, seq_len);
  r.cache_bf16 = cache_bytes_per_token(shape, 2, false);
  r.cache_f32 = cache_bytes_per_token(shape, 4, false);
  r.cache_f32_with_mtp = cache_bytes_per_token(shape, 4, mtp);
  for (const Precision precision : {Precision::kF32, Precision::kBf16, Precision::kFp8})
    r.train.push_back({precision, memory_parts(config, {.trains = true, .precision = precision, .tokens = seq_len})});
  for (const Precision storage : {Precision::kF32, Precision::kBf16, Precision::kInt8, Precision::kFp8})
    r.serve.push_back({storage, memory_parts(config, {.trains = false, .precision = storage, .tokens = seq_len})});
  return r;
}

Json model_report_json(const ModelReport& r) {
  Json json;
  json["model_type"] = r.config.model_type;
  json["parameters"] = parameters_json(r.parameters);
  json["seq_len"] = r.seq_len;
  json["flops_per_token"] = {{"train_causal", r.train_causal},
                             {"train_full_attention", r.train_full_attention},
                             {"train_causal_with_mtp", r.train_causal_with_mtp},
                             {"decode_at_seq_len", r.decode}};
  json["cache_bytes_per_token"] = {{"bf16", r.cache_bf16}, {"f32", r.cache_f32}, {"f32_with_mtp", r.cache_f32_with_mtp}};
  for (const auto& [precision, parts] : r.train) json["memory_bytes"]["train"][precision_name(precision)] = memory_json(parts);
  for (const auto& [storage, parts] : r.serve) {
    json["memory_bytes"]["serve"][precision_name(storage)] = total_bytes(parts);
    json["memory_bytes"]["serve_parts"][precision_name(storage)] = memory_json(parts);
  }
  if (r.weights_fingerprint) json["weights_fingerprint"] = *r.weights_fingerprint;
  return json;
}

std::string model_report_text(const ModelReport& r) {
  const ModelConfig& c = r.config;
  std::string text =
      fmt::format("{}: {} layers ({} dense first), hidden {}, {} heads, {} routed experts ({} per token), {} shared, {} MTP\n",
                  c.model_type, c.num_hidden_layers, c.first_k_dense_replace, c.hidden_size, c.num_attention_heads, c.n_routed_experts,
                  c.num_experts_per_tok, c.n_shared_experts, c.num_nextn_predict_layers);
  text += fmt::format("\nparameters        {} total, {} active per token (head in, embedding table out)\n",
                      count_text(r.parameters.total()), count_text(r.parameters.active()));
  text += parts_text(named_counts(r.parameters));
  text += fmt::format("\nFLOPs per token at {} tokens of context\n", r.seq_len);
  text += fmt::format("  training        {}FLOP causal, {}FLOP with full-square attention, {}FLOP causal with MTP\n",
                      human_count(r.train_causal), human_count(r.train_full_attention), human_count(r.train_causal_with_mtp));
  text += fmt::format("  decoding        {}FLOP (absorbed attention)\n", human_count(r.decode));
  text += fmt::format("\ncache             {} bytes per token in bf16, {} in f32\n", r.cache_bf16, r.cache_f32);
  text += fmt::format("\nmemory to train (one micro-batch of {} tokens)\n", r.seq_len) + memory_table(r.train);
  text += fmt::format("\nmemory to serve (one context of {} tokens)\n", r.seq_len) + memory_table(r.serve);
  if (r.weights_fingerprint) text += fmt::format("\nweights           {}\n", *r.weights_fingerprint);
  return text;
}

Json other_model_json(const OtherModel& m) {
  Json parameters = {{"total", m.total()}, {"active", m.active()}};
  for (const auto& [name, count] : m.parts()) {
    parameters[name] = count;
    if (name == std::string("routed_experts")) parameters["active_routed_experts"] = count_parameters(m.shape).layers.active_routed;
  }
  parameters["total_with_mtp"] = m.total_with_mtp();
  return {{"model_type", m.model_type}, {"parameters", parameters}, {"not_counted", m.missing}, {"not_computed", m.unbuilt}};
}

std::string other_model_text(const OtherModel& m) {
  const ModelShape& s = m.shape;
  std::string text = fmt::format("{}: {} layers ({} dense), hidden {}, {} heads, {} routed experts ({} per token), {} shared, {} MTP\n",
                                 m.model_type, s.layers, s.plain_ffn_layers(), s.d_model, s.heads, s.experts, s.top_k,
                                 s.shared_experts + (m.layers.shared_rest > 0), s.mtp);
  text += fmt::format("\nparameters        {} total, {} active per token (head in, embedding table out)\n", count_text(m.total()),
                      count_text(m.active()));
  text += parts_text(m.parts());
  text += fmt::format("\nfinback does not compute this model{}{}, so FLOPs, cache and memory are not counted.\n",
                      m.unbuilt.empty() ? "" : ": ", fmt::join(m.unbuilt, "; "));
  for (const std::string& line : m.missing) text += "missing: " + line + "\n";
  return text;
}

}  // namespace finback
