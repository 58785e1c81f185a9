package wechat

import "time"

// The platform lets an account answer a fan a few times within a while after the fan has done something. A new trigger
// raises what is left to its number and the end to the later one.

// trigger is what a fan's action opens.
type trigger struct {
	messages int
	lasts    time.Duration
}

var (
	afterText   = trigger{5, 48 * time.Hour}
	afterAction = trigger{3, time.Minute} // a follow, a scan, a tap on a menu
)

// sendTime is how long a message is given to reach the platform: a window that ends sooner counts as closed.
const sendTime = 2 * time.Second

// open gives a fan what a trigger at a moment opens.
func (f *fan) open(t trigger, at, now int64) {
	until := at + t.lasts.Milliseconds()
	if until <= now {
		return
	}
	if f.AllowanceUntil <= now {
		f.Allowance = 0
	}
	f.Allowance = max(f.Allowance, t.messages)
	f.AllowanceUntil = max(f.AllowanceUntil, until)
}

// left is how many messages may be sent to a fan now, to somebody of a rank: in a window that stays open for long,
// the low ranks leave some for what may come.
func (f *fan) left(r rank, now int64) int {
	if f.AllowanceUntil <= now+sendTime.Milliseconds() {
		return 0
	}
	return f.Allowance - floor(r, f.AllowanceUntil-now)
}

// floor is how many messages a rank leaves to those above it.
func floor(r rank, open int64) int {
	if open <= 2*afterAction.lasts.Milliseconds() {
		return 0 // nothing better will come in time
	}
	switch {
	case r >= rankChatter:
		return 2
	case r >= rankProgress:
		return 1
	}
	return 0
}
