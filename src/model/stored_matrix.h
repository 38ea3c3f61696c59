// The codes of a matrix that serving stores, from the tensors of a model folder: as they lie where the folder stores it in that form, else made from its f32
// numbers, one matrix at a time. Knows which tensors a matrix is made of (LayerMatrix::name); no panels.
#pragma once
#include <set>
#include <string>
#include <vector>

#include "kernels/stored_weight.h"
#include "model/fp8_scales.h"
#include "model/model_config.h"
#include "model/tensor_source.h"

namespace finback {

class StoredMatrices {
 public:
  // REQUIRES: the folder's tensors fit the config (check_weights). `files` outlives this object.
  StoredMatrices(const TensorSource& files, const Fp8Layout& layout, const ModelConfig& config);
  // How many matrices the stack of this name has; 0: it is one matrix.
  int64_t groups(const std::string& name) const;
  // Of matrix `group` of it `rows` rows from `first_row` on, a multiple of 128; for products x W (transposed) all of its columns. Throws Error, with the
  // tensor's name, for numbers that the storage does not hold.
  StoredCodes codes(const std::string& name, int64_t group, int64_t first_row, int64_t rows, Precision storage, bool transposed);
  // Matrices so far that the folder stores in FP8 and whose codes were made anew, as its blocks do not lie in whole panels. A stack counts once.
  size_t requantized() const { return requantized_.size(); }

 private:
  // Rows of a tensor, or of one expert of a fused one.
  struct Part {
    std::string tensor;
    int64_t expert = -1;
    int64_t first_row = 0, rows = 0;
  };
  std::vector<Part> parts(const std::string& name, int64_t group) const;
  static std::vector<Part> rows_of_parts(const std::vector<Part>& parts, int64_t first_row, int64_t rows);
  Part whole(const std::string& tensor) const;
  at::Tensor as_stored(const Part& part) const;
  at::Tensor numbers(const Part& part) const;
  StoredCodes encoded(const std::vector<Part>& parts, Precision storage, bool transposed) const;
  StoredCodes fp8_codes(const std::vector<Part>& parts, bool transposed) const;

  const TensorSource& files_;
  Fp8Layout layout_;
  ModelConfig config_;
  std::set<std::string> requantized_;  // by name
};

}  // namespace finback
