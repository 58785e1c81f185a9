package engine

import "sync"

// lanes hold deliveries that wait to be written, in a lane for each campaign. Groups take one from each lane in turn,
// so that a flood in one campaign keeps those of others waiting for one group and not for all of itself.
type lanes struct {
	mu    sync.Mutex
	come  sync.Cond // signalled when something comes, and at the end
	per   map[int64][]*delivery
	turns []int64 // campaigns whose lanes are not empty, the next one first
	ended bool
}

func newLanes() *lanes {
	l := &lanes{per: map[int64][]*delivery{}}
	l.come.L = &l.mu
	return l
}

// put adds a delivery to the lane of the campaign that its first draft is for. It is false after end.
func (l *lanes) put(d *delivery) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return false
	}
	no := d.drafts[0].Campaign
	if len(l.per[no]) == 0 {
		l.turns = append(l.turns, no)
	}
	l.per[no] = append(l.per[no], d)
	l.come.Signal()
	return true
}

// take waits for deliveries and takes them until they hold most drafts or none is left. It gives none after end, when
// all are taken.
func (l *lanes) take(most int) []*delivery {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.turns) == 0 && !l.ended {
		l.come.Wait()
	}
	var group []*delivery
	for n := 0; n < most && len(l.turns) > 0; {
		no := l.turns[0]
		lane := l.per[no]
		group = append(group, lane[0])
		n += len(lane[0].drafts)
		l.turns = l.turns[1:]
		if len(lane) > 1 {
			l.per[no] = lane[1:]
			l.turns = append(l.turns, no)
		} else {
			delete(l.per, no)
		}
	}
	return group
}

// end lets nothing more in.
func (l *lanes) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	l.come.Broadcast()
}
