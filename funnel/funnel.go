// Package funnel counts how far people get. It holds the pure increments and the sums of a
// report; counters are what a report reads, never the journal, so its cost does not grow with events.
package funnel

import (
	"cmp"
	"slices"
	"strconv"
	"time"
)

// Key names one counter: a stage, split by everything a report can group by.
type Key struct {
	Stage   string // event type
	Day     int    // yyyymmdd in the campaign's time zone
	Variant string // poster variant of the code they came through
	Depth   int    // steps from a participant who came by themselves
	Source  string // data.source of the event
}

// Counter is a counter's row.
type Counter struct {
	Campaign int64  `gorm:"primaryKey"`
	Stage    string `gorm:"primaryKey"`
	Day      int    `gorm:"primaryKey"`
	Variant  string `gorm:"primaryKey"`
	Depth    int    `gorm:"primaryKey"`
	Source   string `gorm:"primaryKey"`
	Events   int64
	Users    int64 // people whose first event of the stage this counter holds
}

// TableName is the table that holds counters.
func (Counter) TableName() string { return "funnel_counters" }

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

// Sum adds counters up by stage.
func Sum(counters []Counter) map[string]Count {
	sums := map[string]Count{}
	for _, c := range counters {
		s := sums[c.Stage]
		sums[c.Stage] = Count{s.Events + c.Events, s.Users + c.Users}
	}
	return sums
}

// GroupBy splits counters by day, variant, depth or source, in order. Since a person counts only where they first
// got that far, groups add up to the whole.
func GroupBy(by string, counters []Counter) []Group {
	split := map[string][]Counter{}
	for _, c := range counters {
		name := groupName(by, c)
		split[name] = append(split[name], c)
	}
	groups := make([]Group, 0, len(split))
	for name, part := range split {
		groups = append(groups, Group{Name: name, Stages: Sum(part)})
	}
	slices.SortFunc(groups, func(a, b Group) int {
		if by == "depth" {
			return cmp.Or(cmp.Compare(len(a.Name), len(b.Name)), cmp.Compare(a.Name, b.Name))
		}
		return cmp.Compare(a.Name, b.Name)
	})
	return groups
}

// Groupings are the words a report can group by.
var Groupings = []string{"day", "variant", "depth", "source"}

func groupName(by string, c Counter) string {
	switch by {
	case "day":
		d := strconv.Itoa(c.Day)
		return d[:4] + "-" + d[4:6] + "-" + d[6:]
	case "variant":
		return c.Variant
	case "depth":
		return strconv.Itoa(c.Depth)
	default:
		return c.Source
	}
}
