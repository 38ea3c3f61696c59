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

at::Tensor Block::forward(const at::Tensor& x_TD, const std::shared_ptr<ForwardPass>& pass) const {
  const auto attention = [&](const at::Tensor& n_TD, bool keep, const NormAgain&) { return attention_.forward(n_TD, pass, keep); };
  const auto ffn = [&](const at::Tensor& n_TD, bool keep, const NormAgain& again) {
    if (const Moe* moe = std::get_if<Moe>(&ffn_)) return moe->forward(n_TD, pass, keep, again);
    const DenseFfn& dense = std::get<DenseFfn>(ffn_);
    return dense.forward(linear_input(n_TD, dense.numerics(), pass->audit != nullptr), pass, keep);
  };
  const at::Tensor h_TD = x_TD + pre_norm(input_norm_, x_TD, attention);
  return h_TD + pre_norm(ffn_norm_, h_TD, ffn);
}

void Block::for_each_projection(const ProjectionVisitor& visit) {
  attention_.for_each_projection(visit);
  std::visit([&](auto& ffn) { ffn.for_each_projection(visit); }, ffn_);
}

std::string layer_prefix(int64_t layer) { return "model.layers." + std::to_string(layer) + "."; }

at::Tensor pre_norm(const Norm& norm, const at::Tensor& x_TD, const NormedCore& core) {
  return sub_layer(x_TD, [&](bool keep) {
    const RmsNorm normed = norm.forward(x_TD);
    LayerResult result = core(normed.y_TD, keep, [&norm, x_TD = x_TD.detach()] { return norm.forward(x_TD).y_TD; });
    if (keep) {
      result.backward = [&norm, x_TD = x_TD.detach(), rstd_T = normed.rstd_T, inner = std::move(result.backward)](const at::Tensor& dy_TD) {
        return norm.backward(inner(dy_TD), x_TD, rstd_T);
      };
    }
    return result;
  });
}

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
