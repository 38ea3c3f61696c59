#include "model/parity.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "base/json.h"
#include "kernels/fp8_block.h"
#include "model/lm_loss.h"
#include "model/safetensors.h"

namespace finback {
namespace {

struct ParityRows {
  Batch batch;
  at::Tensor targets_T;
};

// Each row is a document of its own; the target is the next id, the last id has none.
ParityRows rows_of(const std::vector<std::vector<int64_t>>& ids, at::Device device) {
  const int64_t rows = int64_t(ids.size()), length = int64_t(ids[0].size());
  at::Tensor tokens_BS = at::empty({rows, length}, at::kLong);
  for (int64_t b = 0; b < rows; ++b) tokens_BS[b].copy_(at::tensor(ids[size_t(b)], at::kLong));
  at::Tensor targets_BS = at::full({rows, length}, -1, at::kLong);
  targets_BS.slice(1, 0, length - 1).copy_(tokens_BS.slice(1, 1));
  std::vector<int64_t> starts;
  for (int64_t b = 0; b <= rows; ++b) starts.push_back(b * length);
  const at::Tensor positions_T = at::arange(rows * length, at::kLong).remainder(length);
  return {packed_batch(tokens_BS.view({-1}).to(device), positions_T.to(device), starts), targets_BS.view({-1}).to(device)};
}

using Named = std::vector<std::pair<std::string, at::Tensor>>;

void add_logits(Named& out, Transformer& model, const Batch& batch, int64_t rows, const ForwardOptions& options) {
  const at::NoGradGuard no_grad;
  const auto by_row = [&](const at::Tensor& hidden_TD) { return model.logits(hidden_TD).view({rows, -1, model.config().vocab_size}); };
  at::Tensor hidden_TD = model.forward(batch, options);
  out.emplace_back("logits", by_row(hidden_TD));
  Batch below = batch;
  for (int64_t k = 0; k < model.config().num_nextn_predict_layers; ++k) {
    Transformer::Mtp mtp = model.mtp_forward(k, below, hidden_TD, options);
    if (mtp.batch.tokens() == 0) break;  // rows too short for this depth
    out.emplace_back(fmt::format("mtp_logits.{}", k), by_row(mtp.hidden_TD));
    below = std::move(mtp.batch);
    hidden_TD = mtp.hidden_TD;
  }
}

void write_all(const Named& tensors, const std::filesystem::path& path) {
  std::vector<TensorEntry> entries;
  uint64_t offset = 0;
  for (const auto& [name, tensor] : tensors) {
    entries.push_back({name, tensor.scalar_type(), tensor.sizes().vec(), offset, offset + uint64_t(tensor.nbytes())});
    offset += uint64_t(tensor.nbytes());
  }
  SafetensorsWriter writer(path, entries, {{"format", "pt"}});
  for (const auto& [name, tensor] : tensors) writer.write(tensor.to(at::kCPU).contiguous());
  writer.commit();
}

at::Tensor scalar(double value) { return at::full({1}, value, at::kFloat); }

}  // namespace

std::vector<std::vector<int64_t>> read_parity_ids(const std::filesystem::path& path, int64_t vocab_size) {
  const Json json = read_json(path);
  const std::string expected = path.string() + ": expected [1, 2, ...] or rows of one length [[1, 2, ...], ...], at least two ids a row";
  FB_CHECK(json.is_array() && !json.empty(), "{}, got {}", expected, json.type_name());
  const Json rows = json[0].is_array() ? json : Json::array({json});
  std::vector<std::vector<int64_t>> ids;
  for (const Json& row : rows) {
    FB_CHECK(row.is_array() && row.size() >= 2 && row.size() == rows[0].size(), "{}, got rows of {} and {}", expected, rows[0].size(),
             row.size());
    ids.emplace_back();
    for (const Json& id : row) {
      FB_CHECK(id.is_number_integer(), "{}, got {}", expected, dump_json_line(id).substr(0, 40));
      const int64_t value = id.get<int64_t>();
      FB_CHECK(value >= 0 && value < vocab_size, "{}: expected ids from 0 to {}, got {}", path.string(), vocab_size - 1, value);
      ids.back().push_back(value);
    }
  }
  return ids;
}

double write_parity(Transformer& model, const std::vector<std::vector<int64_t>>& ids, const ParityOptions& options,
                    const std::filesystem::path& out) {
  const ParityRows rows = rows_of(ids, model.device());
  LossInputs inputs;
  inputs.targets_T = rows.targets_T;
  inputs.main_denominator = double(ids.size() * (ids[0].size() - 1));
  const std::vector<int64_t> mtp_targets = mtp_target_counts(rows.batch, rows.targets_T, model.config().num_nextn_predict_layers);
  inputs.mtp_denominators.assign(mtp_targets.begin(), mtp_targets.end());
  inputs.mtp_lambda = options.mtp_lambda;
  inputs.forward.algebra = options.algebra;
  inputs.gradients = options.gradients;
  if (options.gradients) model.parameters().grads_P().zero_();
  const LossResult loss = lm_loss(model, rows.batch, inputs);
  const double main = loss.main_nll.value() / inputs.main_denominator;
  Named tensors;
  add_logits(tensors, model, rows.batch, int64_t(ids.size()), inputs.forward);
  tensors.emplace_back("loss", scalar(main));
  for (size_t k = 0; k < mtp_targets.size(); ++k) {
    if (mtp_targets[k] > 0) tensors.emplace_back(fmt::format("mtp_loss.{}", k), scalar(loss.mtp_nll[k].value() / double(mtp_targets[k])));
  }
  if (options.gradients) {
    for (const ParameterSpec& spec : model.parameters().specs())
      tensors.emplace_back("grad." + spec.name, model.parameters().grad(spec.name));
  }
  write_all(tensors, out);
  return main;
}

void write_quantized(const std::filesystem::path& in, const std::filesystem::path& out) {
  const SafetensorsFile file(in);
  Named tensors;
  for (const auto& [name, entry] : file.entries()) {
    FB_CHECK(entry.dtype == at::kFloat && entry.shape.size() == 2, "{}: expected f32 matrices, got [{}]", in.string(),
             fmt::join(entry.shape, ", "));
    const at::Tensor x = file.tensor(name);
    for (const bool pow2 : {false, true}) {
      const std::string suffix = pow2 ? "_pow2" : "";
      const Fp8Blocks tile = fp8_quantize_activation(x, pow2), block = fp8_quantize_weight(x, pow2);
      tensors.emplace_back(name + ".tile" + suffix, tile.values), tensors.emplace_back(name + ".tile" + suffix + "_scale", tile.scales);
      tensors.emplace_back(name + ".block" + suffix, block.values), tensors.emplace_back(name + ".block" + suffix + "_scale", block.scales);
    }
  }
  write_all(tensors, out);
}

}  // namespace finback
