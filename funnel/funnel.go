// Package funnel counts how far people get. It holds the pure increments and the sums of a
// report; counters are what a report reads, never the journal, so its cost does not grow with events.
package funnel

import (
	"cmp"
	"slices"
	"strconv"
	"time"
)

// Key is everything by which a report can tell an event from others of its stage.
type Key struct {
	Stage   string // event type
	Day     int    // yyyymmdd in the campaign's time zone
	Variant string // poster variant of the code they came through
	Depth   int    // steps from a participant who came by themselves
	Source  string // data.source of the event
}

// Counter is a counter's row: what a stage has on a day, as one grouping splits it. Reports group by one thing at a
// time, so that counters are as many as days and sources together and not as one times the other.
type Counter struct {
	Campaign int64  `gorm:"primaryKey"`
	Split    string `gorm:"primaryKey"` // one of Groupings
	Stage    string `gorm:"primaryKey"`
	Day      int    `gorm:"primaryKey"`
	Name     string `gorm:"primaryKey"` // the variant, depth or source; empty where days are counted
	Events   int64
	Users    int64 // people whose first event of the stage this counter holds
}

// TableName is the table that holds counters.
func (Counter) TableName() string { return "funnel_counts" }

// Compare orders counters of one campaign by their keys.
func (c Counter) Compare(other Counter) int {
	return cmp.Or(cmp.Compare(c.Split, other.Split), cmp.Compare(c.Stage, other.Stage),
		cmp.Compare(c.Day, other.Day), cmp.Compare(c.Name, other.Name))
}

// MaxDepth and MaxSource bound the number of counters: deeper people count at MaxDepth.
const (
	MaxDepth  = 20
	MaxSource = 64 // characters
)

// Day is the calendar day of a moment (UTC milliseconds) in a time zone, as yyyymmdd.
func Day(ms int64, loc *time.Location) int {
	y, m, d := time.UnixMilli(ms).In(loc).Date()
	return y*10000 + int(m)*100 + d
}

// Count is how many events and distinct users a stage has.
type Count struct{ Events, Users int64 }

// Group is the funnel of one day, variant, depth or source.
type Group struct {
	Name   string
	Stages map[string]Count
}

// Counters are what counts add to a campaign's counters, in the order of their keys.
func Counters(campaign int64, counts map[Key]Count) []Counter {
	added := map[Counter]Count{}
	for k, n := range counts {
		for _, grouping := range Groupings {
			c := Counter{Campaign: campaign, Split: grouping, Stage: k.Stage, Day: k.Day, Name: k.name(grouping)}
			sum := added[c]
			added[c] = Count{sum.Events + n.Events, sum.Users + n.Users}
		}
	}
	counters := make([]Counter, 0, len(added))
	for c, n := range added {
		c.Events, c.Users = n.Events, n.Users
		counters = append(counters, c)
	}
	slices.SortFunc(counters, Counter.Compare)
	return counters
}

// name is what a key is called by a grouping.
func (k Key) name(grouping string) string {
	switch grouping {
	case "variant":
		return k.Variant
	case "depth":
		return strconv.Itoa(k.Depth)
	case "source":
		return k.Source
	default: // by the day, which every counter names
		return ""
	}
}

// Sum adds counters of one grouping up by stage.
func Sum(counters []Counter) map[string]Count {
	sums := map[string]Count{}
	for _, c := range counters {
		s := sums[c.Stage]
		sums[c.Stage] = Count{s.Events + c.Events, s.Users + c.Users}
	}
	return sums
}

// GroupBy splits counters of one grouping into its groups, in order. Since a person counts only where they first got
// that far, groups add up to the whole.
func GroupBy(grouping string, counters []Counter) []Group {
	split := map[string][]Counter{}
	for _, c := range counters {
		name := c.Name
		if grouping == "day" {
			d := strconv.Itoa(c.Day)
			name = d[:4] + "-" + d[4:6] + "-" + d[6:]
		}
		split[name] = append(split[name], c)
	}
	groups := make([]Group, 0, len(split))
	for name, part := range split {
		groups = append(groups, Group{Name: name, Stages: Sum(part)})
	}
	slices.SortFunc(groups, func(a, b Group) int {
		if grouping == "depth" {
			return cmp.Or(cmp.Compare(len(a.Name), len(b.Name)), cmp.Compare(a.Name, b.Name))
		}
		return cmp.Compare(a.Name, b.Name)
	})
	return groups
}

// Groupings are the words a report can group by.
var Groupings = []string{"day", "variant", "depth", "source"}
