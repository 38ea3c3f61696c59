#include "model/parameters.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>

#include "base/file.h"
#include "base/pool.h"
#include "base/rng.h"

namespace finback {
namespace {

std::unordered_map<std::string, size_t> index_of(const std::vector<ParameterSpec>& specs) {
  std::unordered_map<std::string, size_t> index;
  for (size_t i = 0; i < specs.size(); ++i) index.emplace(specs[i].name, i);
  return index;
}

at::Tensor view_of(const at::Tensor& flat_P, const std::vector<ParameterSpec>& specs, const std::unordered_map<std::string, size_t>& index,
                   const std::string& name) {
  const auto found = index.find(name);
  FB_ASSERT(found != index.end(), "no tensor is called {}", name);
  const ParameterSpec& spec = specs[found->second];
  return flat_P.narrow(0, spec.offset, spec.numel).view(spec.shape);
}

// Those that `holds`, moved together.
std::vector<ParameterSpec> held_specs(std::vector<ParameterSpec> specs, const Parameters::Holds& holds) {
  if (!holds) return specs;
  std::erase_if(specs, [&](const ParameterSpec& spec) { return !holds(spec); });
  int64_t end = 0;
  for (ParameterSpec& spec : specs) spec.offset = end, end += spec.numel;
  return specs;
}

}  // namespace

Parameters::Parameters(const ModelConfig& config, at::Device device, bool gradients, const Holds& holds, bool shapes_of_others)
    : config_(config) {
  if (shapes_of_others) shapes_ = std::make_unique<Parameters>(config, at::kMeta, /*gradients=*/false);
  specs_ = held_specs(parameter_specs(config), holds);
  buffer_specs_ = held_specs(buffer_specs(config), holds);
  const at::TensorOptions options = at::TensorOptions().dtype(at::kFloat).device(device);
  values_P_ = at::zeros({numbers_of(specs_)}, options);  // ATen's CPU allocations are 64-byte aligned
  if (gradients) grads_P_ = at::zeros({numbers_of(specs_)}, options);
  buffers_ = at::zeros({numbers_of(buffer_specs_)}, options);
  if (device != at::kMeta) pieces_ = tensor_pieces(specs_);
  index_ = index_of(specs_);
  buffer_index_ = index_of(buffer_specs_);
}

int64_t Parameters::numel_with_mtp(int64_t modules) const {
  const std::string left_out = fmt::format("model.layers.{}.", config_.num_hidden_layers + modules);
  for (const ParameterSpec& spec : specs_) {
    if (spec.name.starts_with(left_out)) return spec.offset;
  }
  return values_P_.numel();
}

at::Tensor Parameters::value(const std::string& name) const {
  if (shapes_ != nullptr && !has(name)) return shapes_->value(name);
  return view_of(values_P_, specs_, index_, name);
}

at::Tensor Parameters::grad(const std::string& name) const {
  return has_gradients() ? view_of(grads_P_, specs_, index_, name) : at::Tensor();
}

at::Tensor Parameters::shared_grad(const std::string& name, int64_t contribution) {
  if (contribution == 0) return grad(name);
  at::Tensor& part = shared_grads_[name][contribution];
  if (!part.defined()) part = at::zeros_like(grad(name));
  return part;
}

void Parameters::fold_shared_gradients() {
  for (auto& [name, parts] : shared_grads_) {
    for (auto& [contribution, part] : parts) {
      grad(name).add_(part);
      part.zero_();
    }
  }
}

at::Tensor Parameters::buffer(const std::string& name) const { return view_of(buffers_, buffer_specs_, buffer_index_, name); }

// gate [F, D], up [F, D], down [D, F] of one held expert, then the next one's: 3 F D floats apart.
at::Tensor Parameters::stacked(const std::string& prefix, const char* matrix, int64_t rows, int64_t columns, bool gradient) const {
  const int64_t apart = 3 * config_.hidden_size * config_.moe_intermediate_size;
  const auto name = [&](int64_t e, const char* of) { return fmt::format("{}{}.{}.weight", prefix, e, of); };
  std::vector<int64_t> held;
  for (int64_t e = 0; e < config_.n_routed_experts; ++e) {
    if (has(name(e, matrix))) held.push_back(e);
  }
  if (shapes_ != nullptr && held.empty()) return shapes_->stacked(prefix, matrix, rows, columns, gradient);
  FB_ASSERT(!held.empty(), "no expert of {} is held", prefix);
  const int64_t count = int64_t(held.size());
  const at::Tensor begin = value(name(held.front(), "gate_proj")), end = value(name(held.back(), "down_proj"));
  FB_ASSERT(end.storage_offset() + end.numel() == begin.storage_offset() + count * apart, "the held experts of {} are held whole", prefix);
  const std::string first = name(held.front(), matrix);
  const at::Tensor of_first = gradient ? grad(first) : value(first);
  return of_first.defined() ? of_first.as_strided({count, rows, columns}, {apart, columns, 1}) : of_first;
}

at::Tensor Parameters::stacked_gate_up(const std::string& prefix, bool gradient) const {
  return stacked(prefix, "gate_proj", 2 * config_.moe_intermediate_size, config_.hidden_size, gradient);
}

at::Tensor Parameters::stacked_down(const std::string& prefix, bool gradient) const {
  return stacked(prefix, "down_proj", config_.hidden_size, config_.moe_intermediate_size, gradient);
}

void Parameters::initialize(uint64_t seed, double initializer_range) {
  const at::Tensor cpu_P = values_P_.is_cpu() ? values_P_ : at::empty(values_P_.sizes(), at::kFloat);
  float* values = cpu_P.mutable_data_ptr<float>();
  parallel_for(int64_t(specs_.size()), [&](int64_t i) {
    const ParameterSpec& spec = specs_[size_t(i)];
    float* out = values + spec.offset;
    if (spec.shape.size() < 2) {
      std::fill(out, out + spec.numel, 1.0f);  // norms are the only vectors
    } else {
      fill_normal(out, spec.numel, float(initializer_range), Stream::kInit, seed, xxhash64(spec.name));
    }
  });
  if (!values_P_.is_cpu()) values_P_.copy_(cpu_P);
  buffers_.zero_();
  touch();
}

std::string Parameters::fingerprint() const {
  std::vector<uint64_t> hashes = piece_hashes(values_P_, pieces_);
  const std::vector<uint64_t> of_buffers = piece_hashes(buffers_, tensor_pieces(buffer_specs_));
  hashes.insert(hashes.end(), of_buffers.begin(), of_buffers.end());
  return hash_of_hashes(hashes);
}

}  // namespace finback
