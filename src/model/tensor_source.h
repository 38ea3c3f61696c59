// Tensors by their checkpoint names, wherever they come from: the files of a folder, or numbers that are made when they are asked for.
#pragma once
#include <ATen/core/Tensor.h>

#include <string>

#include "model/safetensors_header.h"

namespace finback {

class TensorSource {
 public:
  virtual ~TensorSource() = default;
  virtual bool has(const std::string& name) const = 0;
  // Throws Error for a name that is not there, as tensor() does.
  virtual TensorEntry entry(const std::string& name) const = 0;
  virtual at::Tensor tensor(const std::string& name) const = 0;
};

}  // namespace finback
