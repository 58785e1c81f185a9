package campaign

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Person is what a campaign knows of one user: everything the rules read, nothing that identifies.
// A participant is a person with a code.
type Person struct {
	Campaign  int64 `gorm:"primaryKey;autoIncrement:false"`
	Person    int64 `gorm:"primaryKey;autoIncrement:false"` // internal number
	Code      string
	Inviter   int64 // whom this person counts for, once they did; 0 before
	Depth     int   // steps from a participant who came by themselves
	Score     int64 // credits that rank them
	ScoredSeq int64 // journal position at which Score was reached: who was first ranks first
	JoinedAt  int64 // UTC milliseconds; 0 for no participant
	Facts     Facts `gorm:"serializer:own"`
}

// TableName is the table that holds people.
func (Person) TableName() string { return "people" }

// Facts are the parts of a person that only the rules read.
type Facts struct {
	Variant     string       `json:"variant,omitempty"`
	Blocked     bool         `json:"blocked,omitempty"`
	Touches     []Touch      `json:"touches,omitempty"`      // latest codes touched, oldest first
	FirstTouch  int64        `json:"first_touch,omitempty"`  // earliest touch that Touches has let go, UTC ms
	FirstFollow int64        `json:"first_follow,omitempty"` // earliest subscribe or unsubscribe, UTC ms
	Left        Tally[int64] `json:"left,omitempty"`         // what takes credits back → its latest time
	Counts      Tally[int]   `json:"counts,omitempty"`       // task → standing credits
	Held        Tally[int]   `json:"held,omitempty"`         // task → credits waiting for their hold
	Issued      Tally[int]   `json:"issued,omitempty"`       // own task → credits ever made, numbers the next
	Reached     []string     `json:"reached,omitempty"`      // tiers
	Welcomed    bool         `json:"welcomed,omitempty"`
	Invited     int          `json:"invited,omitempty"` // people ever bound to this one
	Seen        uint64       `json:"seen,omitempty"`    // a bit per event type, see engine/step
	Used        Tally[int]   `json:"used,omitempty"`    // rate limit bucket → credits in it
	Orphans     []Orphan     `json:"orphans,omitempty"` // events still looking for an inviter, by time
	Came        Tally[int64] `json:"came,omitempty"`    // task → latest event that would have counted and found nobody to count for
}

// Touch is a code this person came by.
type Touch struct {
	Owner int64 `json:"o"`
	At    int64 `json:"t"` // UTC milliseconds
}

// Orphan is an event of this person that a task would have credited had there been an inviter;
// a scan that was delayed on its way may still bring one.
type Orphan struct {
	Task  string `json:"task"`
	At    int64  `json:"t"`
	Event string `json:"event"`
	Order string `json:"order,omitempty"` // the order it names
	Known bool   `json:"known,omitempty"` // the channel said that it knew this person before
}

// maxTouches bounds what is remembered of a person: only the last codes matter.
const maxTouches = 8

// Joined says whether the person is a participant.
func (p *Person) Joined() bool { return p.Code != "" }

// Touch remembers that the person came by the owner's code at a time. Touches may arrive in any order.
func (p *Person) Touch(owner, at int64) {
	if owner == p.Person || slices.Contains(p.Facts.Touches, Touch{owner, at}) {
		return
	}
	touches := append(slices.Clone(p.Facts.Touches), Touch{owner, at})
	slices.SortStableFunc(touches, func(a, b Touch) int { return cmp.Compare(a.At, b.At) })
	if len(touches) > maxTouches {
		if p.Facts.FirstTouch == 0 || touches[0].At < p.Facts.FirstTouch {
			p.Facts.FirstTouch = touches[0].At
		}
		touches = touches[len(touches)-maxTouches:]
	}
	p.Facts.Touches = touches
}

// LastTouch gives the owner of the code last touched up to a moment. late says that there was a touch, but longer
// ago than the window.
func (p *Person) LastTouch(at int64, window time.Duration) (owner int64, found, late bool) {
	for _, t := range slices.Backward(p.Facts.Touches) {
		if t.At <= at {
			if at-t.At > window.Milliseconds() {
				return t.Owner, false, true
			}
			return t.Owner, true, false
		}
	}
	return 0, false, false
}

// KnownBefore says whether the campaign knew the person before the moment: they had followed, left or joined by then.
func (p *Person) KnownBefore(at int64) bool {
	first := p.Facts.FirstFollow
	return first > 0 && first < at || p.JoinedAt > 0 && p.JoinedAt < p.firstTouch(at)
}

// TouchedBy says whether the person had come by any code at a moment.
func (p *Person) TouchedBy(at int64) bool { return p.firstTouch(at+1) <= at }

func (p *Person) firstTouch(at int64) int64 {
	if len(p.Facts.Touches) > 0 {
		at = min(at, p.Facts.Touches[0].At)
	}
	if p.Facts.FirstTouch > 0 {
		at = min(at, p.Facts.FirstTouch)
	}
	return at
}

// maxLeft bounds what is remembered of leaving; refunds of orders that never came are forgotten oldest first.
const maxLeft = 16

// Left notes what takes credits back, such as "unsubscribe" or "refund/order-7", at a time.
func (p *Person) Left(what string, at int64) {
	if at <= p.Facts.Left.Of(what) {
		return
	}
	p.Facts.Left.Set(what, at)
	if len(p.Facts.Left) > maxLeft {
		oldest := ""
		for _, e := range p.Facts.Left {
			if e.Name != "unsubscribe" && (oldest == "" || e.N < p.Facts.Left.Of(oldest)) {
				oldest = e.Name
			}
		}
		p.Facts.Left.Drop(oldest)
	}
}

// Followed notes that the person followed at a time, or had followed by then.
func (p *Person) Followed(at int64) {
	if p.Facts.FirstFollow == 0 || at < p.Facts.FirstFollow {
		p.Facts.FirstFollow = at
	}
}

// Gone forgets what Came noted up to a moment: they left then.
func (p *Person) Gone(task string, at int64) {
	if at >= p.Facts.Came.Of(task) {
		p.Facts.Came.Drop(task)
	}
}

// Came notes an event at a time that a task would have counted, had there been somebody to count it for.
func (p *Person) Came(task string, at int64) {
	if at > p.Facts.Came.Of(task) {
		p.Facts.Came.Set(task, at)
	}
}

// maxOrphans bounds the events of a person that wait for an inviter.
const maxOrphans = 8

// Orphan notes an event that waits for an inviter: of each task the earliest and the latest, since a code may turn
// out to have been touched before both or between them.
func (p *Person) Orphan(o Orphan) {
	orphans := slices.Clone(p.Facts.Orphans)
	at, _ := slices.BinarySearchFunc(orphans, o, func(a, b Orphan) int {
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Event, b.Event), cmp.Compare(a.Task, b.Task))
	})
	orphans = slices.Insert(orphans, at, o)
	var same []int
	for i := range orphans {
		if orphans[i].Task == o.Task {
			same = append(same, i)
		}
	}
	if len(same) > 2 {
		orphans = slices.Delete(orphans, same[1], same[1]+1)
	}
	if len(orphans) <= maxOrphans {
		p.Facts.Orphans = orphans
	}
}

// Count adds n to the standing credits of a task and gives the new number.
func (p *Person) Count(task string, n int) int {
	p.Facts.Counts.Set(task, p.Facts.Counts.Of(task)+n)
	return p.Facts.Counts.Of(task)
}

// Hold adds n to the waiting credits of a task.
func (p *Person) Hold(task string, n int) {
	p.Facts.Held.Set(task, p.Facts.Held.Of(task)+n)
	if p.Facts.Held.Of(task) == 0 {
		p.Facts.Held.Drop(task)
	}
}

// Issue numbers the next credit of one of the person's own tasks.
func (p *Person) Issue(task string) int {
	p.Facts.Issued.Set(task, p.Facts.Issued.Of(task)+1)
	return p.Facts.Issued.Of(task)
}

// Reach notes that the person reached a tier; false when they had before.
func (p *Person) Reach(tier string) bool {
	if slices.Contains(p.Facts.Reached, tier) {
		return false
	}
	p.Facts.Reached = append(slices.Clone(p.Facts.Reached), tier)
	return true
}

// Meets says whether the person has reached all targets of a tier.
func (p *Person) Meets(t Tier) bool {
	for _, r := range t.Requires {
		if p.Facts.Counts.Of(r.Task) < r.Count {
			return false
		}
	}
	return true
}

// maxBuckets bounds the rate-limit buckets a person keeps of days gone by; the oldest go first.
const maxBuckets = 12

// Use takes one from a rate-limit bucket, or reports that it is empty. A bucket's name begins with its day, such as
// "2026-03-02T10" or "2026-03-02/invite": what was used on the latest day is never forgotten, nor the days' own
// buckets of the day before, since news of it still come in after midnight.
func (p *Person) Use(bucket string, limit int) bool {
	if p.Facts.Used.Of(bucket) >= limit {
		return false
	}
	p.Facts.Used.Set(bucket, p.Facts.Used.Of(bucket)+1)
	if len(p.Facts.Used) <= maxBuckets {
		return true
	}
	today := p.Facts.Used[len(p.Facts.Used)-1].Name[:len(time.DateOnly)]
	yesterday := today
	if day, err := time.Parse(time.DateOnly, today); err == nil {
		yesterday = day.AddDate(0, 0, -1).Format(time.DateOnly) + "/"
	}
	for _, e := range slices.Clone(p.Facts.Used) {
		if len(p.Facts.Used) > maxBuckets && !strings.HasPrefix(e.Name, today) && !strings.HasPrefix(e.Name, yesterday) {
			p.Facts.Used.Drop(e.Name)
		}
	}
	return true
}

// Credit is one count of a task for one person, made by one event.
type Credit struct {
	Campaign int64  `gorm:"primaryKey;autoIncrement:false"`
	Person   int64  `gorm:"primaryKey;autoIncrement:false"` // who did it
	Task     string `gorm:"primaryKey"`
	N        int    `gorm:"primaryKey;autoIncrement:false"` // 0 for an inviter's credit, of which there is at most one; else from 1
	Owner    int64  // whom it counts for
	State    CreditState
	OnAt     int64  // latest event that gave it, UTC milliseconds
	OffAt    int64  // latest event that took it back; 0 for none
	DueAt    *int64 // when its hold passes or passed; nil for none
	Ref      string // data.order of the event that made it, so that a refund can name it
	Event    string // id of the event that made it
}

// TableName is the table that holds credits.
func (Credit) TableName() string { return "credits" }

// CreditState says whether a credit counts.
type CreditState string

// The states of a credit.
const (
	CreditHeld     CreditState = "held"
	CreditStanding CreditState = "standing"
	CreditReversed CreditState = "reversed"
)
