// Rotary embedding in DeepSeek's interleaved layout: channel pair (2i, 2i+1) rotates by the angle position * inv_freq[i]
// (a complex multiplication). With rotate_half pairs are (i, i + R/2) (config rope_interleave = false; elsewhere is_neox_style). Angles
// in f32 tables, see model/rope_table.h.
#pragma once
#include <ATen/core/Tensor.h>

namespace finback {

// In place on x [T, H, R] or [T, R] (a strided view with unit last stride is fine). cos_sin_SR: [max_positions, R]: R/2 cosines, then R/2
// sines. inverse rotates back: the backward pass of the forward rotation.  REQUIRES: positions_T (i64) within the table.
void rope_(const at::Tensor& x_THR, const at::Tensor& positions_T, const at::Tensor& cos_sin_SR, bool rotate_half, bool inverse);
// The reference; returns a new tensor, differentiable.
at::Tensor rope_ref(const at::Tensor& x_THR, const at::Tensor& positions_T, const at::Tensor& cos_sin_SR, bool rotate_half, bool inverse);

}  // namespace finback
