#include "model/sub_layer.h"

#include <ATen/ATen.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <utility>

#include "base/error.h"

namespace finback {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// A closure or gradients that travel from forward to backward in the saved data of an autograd node.
template <class T>
struct SavedForBackward : torch::CustomClassHolder {
  T value;
  explicit SavedForBackward(T v) : value(std::move(v)) {}
};
template <class T>
void pack(AutogradContext* context, T value) {
  context->saved_data["saved"] = c10::IValue::make_capsule(c10::make_intrusive<SavedForBackward<T>>(std::move(value)));
}
// Leaves nothing behind, so that a sub-layer's activations go as soon as its backward is done.
template <class T>
T unpack(AutogradContext* context) {
  const auto capsule = context->saved_data["saved"].toCapsule();
  context->saved_data.clear();
  return std::move(static_cast<SavedForBackward<T>*>(capsule.get())->value);
}

struct SubLayerNode : torch::autograd::Function<SubLayerNode> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor&, const std::function<LayerResult(bool)>& run) {
    const at::AutoDispatchBelowADInplaceOrView below_autograd;
    LayerResult result = run(true);
    pack(context, std::move(result.backward));
    return result.y_TD;
  }
  static variable_list backward(AutogradContext* context, variable_list dy) {
    const LayerBackward run = unpack<LayerBackward>(context);
    return {run(dy[0]), at::Tensor()};
  }
};

// A scalar whose gradient with respect to each output is the one given: a root for several outputs.
struct RootNode : torch::autograd::Function<RootNode> {
  static at::Tensor forward(AutogradContext* context, at::TensorList outputs, const variable_list& doutputs) {
    pack(context, doutputs);
    return at::zeros({}, outputs[0].options());
  }
  static variable_list backward(AutogradContext* context, const variable_list&) {
    variable_list grads = unpack<variable_list>(context);
    grads.emplace_back();
    return grads;
  }
};

}  // namespace

at::Tensor sub_layer(const at::Tensor& x, const std::function<LayerResult(bool keep)>& forward) {
  if (at::GradMode::is_enabled() && x.requires_grad()) return SubLayerNode::apply(x, forward);
  const at::AutoDispatchBelowADInplaceOrView below_autograd;  // nothing to keep track of
  return forward(false).y_TD;
}

at::Tensor autograd_root(bool keep, at::Device device) {
  return at::empty({0}, at::TensorOptions().dtype(at::kFloat).device(device)).requires_grad_(keep && at::GradMode::is_enabled());
}

void backward_from(const std::vector<at::Tensor>& outputs, const std::vector<at::Tensor>& doutputs) {
  FB_ASSERT(!outputs.empty() && outputs.size() == doutputs.size(), "a gradient for each output");
  const at::AutoGradMode enable(true);
  RootNode::apply(at::TensorList(outputs), doutputs).backward();
}

}  // namespace finback
