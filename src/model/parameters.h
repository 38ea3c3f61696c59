// All weights of a model in one flat f32 buffer in checkpoint order, their gradients in another of the same layout; every tensor is a view
// with its checkpoint name. Experts lie one after the other (gate, up, down of expert 0, then of expert 1, ...), so the stacked forms are
// strided views of the same memory and nothing is ever copied. It may hold a part of the model's tensors (some experts, some layers) under their
// names of the whole model. Knows no forward pass and no files.
#pragma once
#include <ATen/core/Tensor.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "model/parameter_specs.h"
#include "model/tensor_pieces.h"

namespace finback {

class Parameters {
 public:
  // Which tensors are held, of specs and buffers. Empty: all.
  using Holds = std::function<bool(const ParameterSpec&)>;
  // Zero-filled. gradients = false (inference) allocates no gradient buffer. Held tensors lie in checkpoint order without gaps: offsets are those
  // of this buffer, names and initial values those of the whole model.
  // shapes_of_others: value() and the stacks give the tensors that are not held as shapes without memory (torch's meta device), for a model whose
  // matrices are stored elsewhere.
  Parameters(const ModelConfig& config, at::Device device, bool gradients, const Holds& holds = {}, bool shapes_of_others = false);
  Parameters(const Parameters&) = delete;  // packed weights point at stamp(), and a copy would share the buffers
  Parameters& operator=(const Parameters&) = delete;

  const std::vector<ParameterSpec>& specs() const { return specs_; }
  const std::vector<ParameterSpec>& buffers() const { return buffer_specs_; }
  const std::vector<FlatRange>& pieces() const { return pieces_; }  // of values_P and grads_P
  const at::Tensor& values_P() const { return values_P_; }
  const at::Tensor& grads_P() const { return grads_P_; }  // undefined without gradients
  bool has_gradients() const { return grads_P_.defined(); }
  // Elements of everything but the MTP modules from number `modules` on, which lie at the end.
  int64_t numel_with_mtp(int64_t modules) const;

  at::Tensor value(const std::string& name) const;   // view with its shape; FB_ASSERT on an unknown name
  at::Tensor grad(const std::string& name) const;    // undefined without gradients
  at::Tensor buffer(const std::string& name) const;  // f32 [E]
  bool has_buffer(const std::string& name) const { return buffer_index_.contains(name); }

  // A tensor that several places use (the embedding: input, MTP inputs, a tied head; the head: main, MTP) gets its gradient in as many
  // contributions, each one chain of additions over the step's tokens: contribution 0 is grad(name) itself, the others are buffers of their
  // own, zero when first asked for. Interleaving them in one buffer would make the bits depend on the cut into micro-batches.
  at::Tensor shared_grad(const std::string& name, int64_t contribution);
  // Adds the buffers to grad(name) in order of their numbers and clears them. Once a step, behind the last micro-batch.
  void fold_shared_gradients();
  bool has(const std::string& name) const { return index_.contains(name); }
  // Stacked experts of `prefix` = "model.layers.3.mlp.experts.": gate_up [E, 2F, D] (gate rows first) or down [E, D, F], strided views. E counts
  // the experts that are held, which are held whole.
  at::Tensor stacked_gate_up(const std::string& prefix, bool gradient) const;
  at::Tensor stacked_down(const std::string& prefix, bool gradient) const;

  // Changes whenever values change: PackedWeight::prepare compares it. Whoever writes values calls touch().
  const uint64_t* stamp() const { return &stamp_; }
  void touch() { ++stamp_; }
  // N(0, initializer_range) for matrices, 1 for norms, 0 for biases; element i of a tensor depends on (seed, name, i) alone.
  void initialize(uint64_t seed, double initializer_range);
  // Hash of the hashes of all pieces of values and buffers, in 16 hex digits: names these weights in caches, responses, rollouts.
  std::string fingerprint() const;

 private:
  at::Tensor stacked(const std::string& prefix, const char* matrix, int64_t rows, int64_t columns, bool gradient) const;
  ModelConfig config_;
  std::vector<ParameterSpec> specs_, buffer_specs_;
  std::vector<FlatRange> pieces_;
  std::unordered_map<std::string, size_t> index_, buffer_index_;
  at::Tensor values_P_, grads_P_, buffers_;
  std::map<std::string, std::map<int64_t, at::Tensor>> shared_grads_;
  uint64_t stamp_ = 1;
  std::unique_ptr<const Parameters> shapes_;  // on the meta device
};

}  // namespace finback
