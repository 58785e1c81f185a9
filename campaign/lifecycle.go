package campaign

import (
	"kfactor/internal/fault"
)

// Status is where a campaign stands: draft → live ⇄ paused → ended.
type Status string

// The states of a campaign.
const (
	Draft  Status = "draft"  // never started; anything may change
	Live   Status = "live"   // events count
	Paused Status = "paused" // events are kept and do not count
	Ended  Status = "ended"  // for good
)

// moves holds, for each verb, the states it starts from and the one it leads to.
var moves = map[string]struct {
	from []Status
	to   Status
	need string
}{
	"launch": {[]Status{Draft}, Live, "only a draft can be launched"},
	"pause":  {[]Status{Live}, Paused, "only a live campaign can be paused"},
	"resume": {[]Status{Paused}, Live, "only a paused campaign can be resumed"},
	"end":    {[]Status{Live, Paused}, Ended, "only a live or paused campaign can be ended"},
}

// Next is the state that the verb (launch, pause, resume, end) leads to from s; a fault.Conflict that names the
// state where it does not, fault.Invalid for an unknown verb.
func (s Status) Next(verb string) (Status, error) {
	move, ok := moves[verb]
	if !ok {
		return s, fault.New(fault.Invalid, "%q is nothing a campaign can do; say launch, pause, resume or end", verb)
	}
	for _, from := range move.from {
		if s == from {
			return move.to, nil
		}
	}
	return s, fault.New(fault.Conflict, "this campaign is %s; %s", s, move.need)
}
