// The tensors of a model of random weights, made when they are asked for: those of a model that Parameters::initialize(seed, initializer_range) fills, under
// their checkpoint names, in f32.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "model/model_config.h"
#include "model/tensor_source.h"

namespace finback {

class RandomTensors : public TensorSource {
 public:
  RandomTensors(const ModelConfig& config, uint64_t seed);
  // In checkpoint order, DeepSeek's copies of embedding and head under the MTP modules included.
  const std::vector<std::string>& names() const { return names_; }
  bool has(const std::string& name) const override { return tensors_.contains(name); }
  TensorEntry entry(const std::string& name) const override;  // begin and end: 0
  // Keeps the last one, so that rows of a large tensor may be read some after the others. One thread.
  at::Tensor tensor(const std::string& name) const override;
  // The same, not kept; for several threads.
  at::Tensor make(const std::string& name) const;

 private:
  struct Tensor {
    std::vector<int64_t> shape;
    std::string key;  // names its numbers: a copy has those of its original; empty: zeros
  };
  void add(const std::string& name, const std::vector<int64_t>& shape, const std::string& key);
  const Tensor& find(const std::string& name) const;

  double initializer_range_;
  uint64_t seed_;
  std::vector<std::string> names_;
  std::map<std::string, Tensor> tensors_;
  mutable std::string last_name_;
  mutable at::Tensor last_;
};

}  // namespace finback
