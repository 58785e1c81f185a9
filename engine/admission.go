package engine

import (
	"sync/atomic"
	"time"

	"kfactor/campaign"
	"kfactor/internal/fault"
)

// admission bounds what waits to be written, by bytes: a database that is slow then slows those who send, and not
// this process's memory.
type admission struct {
	most         int64        // bytes
	bytes, count atomic.Int64 // of events that wait or are being written
}

const (
	// intakeBytes is 100,000 events as they usually are, or 15,000 of the largest.
	intakeBytes = 64 << 20
	// draftBytes is what an event takes in memory beside its texts.
	draftBytes = 640
	// deliverTimeout is how long a caller waits for a database that is slow.
	deliverTimeout = 30 * time.Second
)

// errFull is for those who come while there is no room. They come again, with the same ids.
var errFull = fault.New(fault.Unavailable, "intake is full; send the same again in a moment")

// errBusy is for events that only the funnel counts, while intake keeps its room for those that count for somebody.
var errBusy = fault.New(fault.Unavailable, "intake is busy and takes only events that a task counts; send this one again in a moment")

// enter gives a delivery its room, or none.
func (a *admission) enter(d *delivery) error {
	for _, one := range d.drafts {
		d.bytes += one.size()
	}
	if a.bytes.Add(d.bytes) > a.most {
		a.bytes.Add(-d.bytes)
		return errFull
	}
	a.count.Add(int64(len(d.drafts)))
	return nil
}

func (a *admission) leave(d *delivery) {
	a.bytes.Add(-d.bytes)
	a.count.Add(-int64(len(d.drafts)))
}

// busy says that half of the room is taken.
func (a *admission) busy() bool { return a.bytes.Load() > a.most/2 }

// size is about what a draft takes in memory, in bytes.
func (d *draft) size() int64 {
	n := draftBytes + len(d.ID) + len(d.user) + len(d.nickname) + len(d.avatar) + len(d.Code)
	if d.Data != nil {
		n += len(*d.Data)
	}
	return int64(n)
}

// spare says whether an event may be put off before others: it moves the funnel and nothing that anybody is owed.
// Following and leaving are never spare, for rules look at both even where no task does.
func spare(d *campaign.Definition, eventType string) bool {
	if eventType == "subscribe" || eventType == "unsubscribe" {
		return false
	}
	for _, t := range d.Tasks {
		if t.On == eventType || t.RevokeOn == eventType {
			return false
		}
	}
	return true
}

// Waiting is how many events wait for the database or are being written.
func (e *Engine) Waiting() int64 { return e.intake.room.count.Load() }
