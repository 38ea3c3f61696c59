#include "model/block.h"

#include <ATen/ATen.h>

#include <utility>

namespace finback {
namespace {

std::variant<DenseFfn, Moe> make_ffn(const ModelConfig& config, const Parameters& parameters, int64_t layer) {
  const std::string prefix = layer_prefix(layer) + "mlp.";
  if (config.is_moe_layer(layer)) return Moe(config, parameters, prefix, layer);
  return DenseFfn(parameters, prefix);
}

// The activations that `backward` holds go as soon as it is done.
at::Tensor last_call(LayerBackward& backward, const at::Tensor& dy_TD) {
  const LayerBackward run = std::move(backward);
  backward = nullptr;
  return run(dy_TD);
}

}  // namespace

Block::Block(const ModelConfig& config, const Parameters& parameters, int64_t layer)
    : input_norm_(parameters, layer_prefix(layer) + "input_layernorm", config.rms_norm_eps),
      ffn_norm_(parameters, layer_prefix(layer) + "post_attention_layernorm", config.rms_norm_eps),
      attention_(config, parameters, layer_prefix(layer) + "self_attn.", layer),
      ffn_(make_ffn(config, parameters, layer)) {}

void Block::set_numerics(const Numerics& attention, const Numerics& ffn) {
  attention_.set_numerics(attention);
  std::visit([&](auto& any) { any.set_numerics(ffn); }, ffn_);
}

// y = u + ffn(n) with n = norm(u).
LayerResult Block::ffn(const at::Tensor& u_TD, const at::Tensor& n_TD, const std::shared_ptr<ForwardPass>& pass, bool keep) const {
  if (const Moe* moe = std::get_if<Moe>(&ffn_)) {
    return moe->forward(n_TD, u_TD, pass, keep, [this, u_TD] { return ffn_norm_.forward(u_TD).y_TD; });
  }
  const DenseFfn& dense = std::get<DenseFfn>(ffn_);
  LayerResult result = dense.forward(linear_input(n_TD, dense.numerics(), pass->audit != nullptr), pass, keep);
  result.y_TD.add_(u_TD);
  return result;
}

at::Tensor Block::forward(const at::Tensor& x_TD, const std::shared_ptr<ForwardPass>& pass) const {
  return sub_layer(x_TD, [&](bool keep) {
    const RmsNorm x_norm = input_norm_.forward(x_TD);
    LayerResult attention = attention_.forward(x_norm.y_TD, pass, keep);
    const at::Tensor u_TD = attention.y_TD;
    const RmsNorm u_norm = ffn_norm_.add_forward_(u_TD, x_TD);  // u = x + attention(norm(x))
    LayerResult ffn_result = ffn(u_TD, u_norm.y_TD, pass, keep);
    if (!keep) return ffn_result;
    return LayerResult{ffn_result.y_TD,
                       [this, x_TD = x_TD.detach(), x_rstd_T = x_norm.rstd_T, attention_backward = std::move(attention.backward), u_TD,
                        u_rstd_T = u_norm.rstd_T, ffn_backward = std::move(ffn_result.backward)](const at::Tensor& dy) mutable {
                         const at::Tensor dy_TD = dy.contiguous();
                         const at::Tensor du_TD = ffn_norm_.backward(last_call(ffn_backward, dy_TD), u_TD, u_rstd_T, dy_TD);
                         return input_norm_.backward(last_call(attention_backward, du_TD), x_TD, x_rstd_T, du_TD);
                       }};
  });
}

void Block::for_each_projection(const ProjectionVisitor& visit) {
  attention_.for_each_projection(visit);
  std::visit([&](auto& ffn) { ffn.for_each_projection(visit); }, ffn_);
}

void Block::prepare(MlaAlgebra algebra, bool backward) {
  attention_.prepare(algebra, backward);
  std::visit([&](auto& ffn) { ffn.prepare(backward); }, ffn_);
}

std::string layer_prefix(int64_t layer) { return "model.layers." + std::to_string(layer) + "."; }

at::Tensor norm_only(const Norm& norm, const at::Tensor& x_TD) {
  return sub_layer(x_TD, [&](bool keep) {
    const RmsNorm normed = norm.forward(x_TD);
    LayerResult result{normed.y_TD, {}};
    if (keep) {
      result.backward = [&norm, x_TD = x_TD.detach(), rstd_T = normed.rstd_T](const at::Tensor& dy_TD) {
        return norm.backward(dy_TD, x_TD, rstd_T);
      };
    }
    return result;
  });
}

}  // namespace finback
