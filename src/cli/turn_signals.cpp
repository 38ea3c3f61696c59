#include "cli/turn_signals.h"

#include <signal.h>

namespace finback {
namespace {

volatile sig_atomic_t interrupt_came = 0, leave_signal = 0, resize_came = 0;

void note_signal(int number) {
  if (number == SIGINT) interrupt_came = 1;
  if (number == SIGTERM || number == SIGHUP) leave_signal = number;
  if (number == SIGWINCH) resize_came = 1;
}

constexpr int kSignals[] = {SIGINT, SIGTERM, SIGHUP, SIGWINCH};

}  // namespace

TurnSignals::TurnSignals() {
  interrupt_came = 0;
  leave_signal = 0;
  resize_came = 0;
  struct sigaction action {};
  action.sa_handler = note_signal;
  action.sa_flags = SA_RESTART;  // a write to a full terminal goes on; the keyboard is waited for by poll, which ends all the same
  for (const int number : kSignals) ::sigaction(number, &action, nullptr);
}

TurnSignals::~TurnSignals() {
  for (const int number : kSignals) ::signal(number, SIG_DFL);
}

bool TurnSignals::interrupted() const { return interrupt_came || leave_signal; }
void TurnSignals::take_interrupt() { interrupt_came = 0; }
int TurnSignals::leaving() const { return leave_signal; }
bool TurnSignals::take_resize() {
  const bool came = resize_came;
  resize_came = 0;
  return came;
}

}  // namespace finback
