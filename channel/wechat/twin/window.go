package twin

import "time"

// trigger is something a fan does that allows messages to them, as
// https://developers.weixin.qq.com/doc/service/api/customer/message/api_sendcustommessage lists since 2023.
type trigger struct {
	messages int
	within   time.Duration
}

var (
	wrote    = trigger{5, 48 * time.Hour}
	tapped   = trigger{3, time.Minute} // a menu button, or an item of a message's menu
	followed = trigger{3, time.Minute}
	scanned  = trigger{3, time.Minute}
)

// allowance is how many messages may be sent until when.
type allowance struct {
	left  int
	until time.Time
}

// allowances is what a fan has allowed: one that each trigger raises, or one beside the other.
type allowances []allowance

// open counts a trigger in.
func (a *allowances) open(by trigger, now time.Time, separate bool) {
	until := now.Add(by.within)
	if separate {
		// Only those that still live are worth keeping, so that the list stays short.
		var living allowances
		for _, one := range *a {
			if one.left > 0 && now.Before(one.until) {
				living = append(living, one)
			}
		}
		*a = append(living, allowance{by.messages, until})
		return
	}
	merged := allowance{by.messages, until}
	if len(*a) == 1 && now.Before((*a)[0].until) {
		merged.left = max(merged.left, (*a)[0].left)
	}
	if len(*a) == 1 && (*a)[0].until.After(until) {
		merged.until = (*a)[0].until
	}
	*a = allowances{merged}
}

// take uses one message up, of the allowance that ends first.
func (a allowances) take(now time.Time) error {
	best, open := -1, false
	for i, one := range a {
		if !now.Before(one.until) {
			continue
		}
		open = true
		if one.left > 0 && (best < 0 || one.until.Before(a[best].until)) {
			best = i
		}
	}
	switch {
	case !open:
		return refuse(45015)
	case best < 0:
		return refuse(45047)
	}
	a[best].left--
	return nil
}

// state sums what is left and gives when the last of it ends.
func (a allowances) state(now time.Time) (left int, until time.Time) {
	for _, one := range a {
		if now.Before(one.until) {
			left += one.left
			if one.until.After(until) {
				until = one.until
			}
		}
	}
	return left, until
}
