// A model folder loaded to serve: its matrices go tensor by tensor into the storage that products read (kernels/stored_weight.h), and no f32 copy of them
// is ever made. Memory is that of the stored weights, of embedding, norms and router in f32, and of one matrix on its way.
#pragma once
#include <filesystem>
#include <memory>

#include "model/transformer.h"

namespace finback {

// The form in which the folder stores its projections: fp8, bf16, or f32 (f16 too, which bf16 would round). Where they differ: fp8 when most bytes are, else
// the widest. Reads headers. Throws Error for a folder without weights.
Precision stored_form(const std::filesystem::path& folder);

// Logits in the absorbed algebra have the bits of load_model() and Transformer::store_weights(storage), but where an FP8 folder's codes are taken as they
// lie: then those of the f32 model with the folder's numbers. Of the MTP modules so many are loaded as draft. kv_b_proj is kept in its absorbed form alone, so
// the expanded algebra does not run. Throws Error as load_model does, and for numbers that the storage does not hold. REQUIRES: storage is not f32.
std::unique_ptr<Transformer> load_stored_model(const std::filesystem::path& folder, Precision storage, int64_t mtp_modules = 0);

}  // namespace finback
