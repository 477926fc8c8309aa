// Whether several threads pay for steps of a size that does not tell it: measured. Other programs may want the cores, and
// two of them may be one that takes turns. Threads never change a bit of a result, so their number may change in the
// middle of a run. No thread is started here.
#pragma once

namespace backlit {

class Pace {
 public:
  // How many threads the next call takes: 1 or `team`. A call that is a trial should be over after TRIAL_SECONDS.
  long threads(long team) {
    if (team == 1) return 1;
    const bool team_leads = together_ < alone_;
    is_trial_ = alone_ == 0 || together_ == 0 || since_trial_ > rest_;
    if (!is_trial_) return team_leads ? team : 1;
    if (together_ != 0 && between_trials_ < 0.2) between_trials_ *= 2;  // the first ones find cold caches
    since_trial_ = 0;
    return alone_ == 0 || (together_ != 0 && team_leads) ? 1 : team;
  }

  double at_most(double seconds) const { return is_trial_ && TRIAL_SECONDS < seconds ? TRIAL_SECONDS : seconds; }

  // What a call with so many threads took for `work` multiply-adds.
  void took(long threads, double seconds, double work) {
    double& known = threads > 1 ? together_ : alone_;
    const double now = seconds / work;
    known = is_trial_ ? now : known + (now - known) / 4;  // one interrupted call decides nothing
    if (is_trial_)
      rest_ = REST_PER_TRIAL * seconds > between_trials_ ? REST_PER_TRIAL * seconds : between_trials_;
    else
      since_trial_ += seconds;
  }

 private:
  static constexpr double TRIAL_SECONDS = 0.002;
  static constexpr double REST_PER_TRIAL = 20;  // a trial is one step at least, and a step may take seconds
  double alone_ = 0, together_ = 0;             // seconds per multiply-add; 0: never tried
  double since_trial_ = 0, rest_ = 0, between_trials_ = 0.01;  // seconds
  bool is_trial_ = false;
};

}  // namespace backlit
