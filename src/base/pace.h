// How fast work goes and how long the rest will take, from pieces of work and the seconds they took. What the first piece takes is start-up (memory is
// touched, caches are filled): it makes a rate only until there is a second one, and never a time left. Recent pieces count more. Reads no clock. One thread.
#pragma once

namespace finback {

class Pace {
 public:
  void advance(double work, double seconds);
  // Seconds in which no work went on (an evaluation, a checkpoint): they will come again in the same proportion.
  void pause(double seconds);
  // Work a second; 0 before anything is known.
  double rate() const;
  // For the work that is left; infinite before the second piece.
  double seconds_left(double work_left) const;

 private:
  double first_work_ = 0, first_seconds_ = 0;  // start-up
  double work_ = 0, seconds_ = 0;              // behind it, the past fading
  double all_seconds_ = 0, paused_ = 0;        // behind it, unfaded
  bool begun_ = false;
};

}  // namespace finback
