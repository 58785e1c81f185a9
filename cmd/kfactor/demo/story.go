// Package demo plays fans of a sample campaign against a running server: over HTTP alone, with the pictures of real
// posters between them, as people and a shop would. It counts for itself what should come of it.
package demo

import (
	"fmt"
	"math"
	"math/rand/v2"
)

// Bounds on the number of fans. The sample campaign's budget and points last for the most.
const (
	LeastFans = 1
	MostFans  = 10_000
)

// nobody stands for the inviter of those who come by themselves.
const nobody = -1

// fan is a person and all they will do, decided before the first of them moves, so that it does not matter who is
// quicker.
type fan struct {
	number   int
	nickname string
	inviter  int // whose poster they scan first; nobody for those who come by themselves
	depth    int

	looks   bool  // scans and goes away
	known   bool  // followed long before, so that they are no new user to their inviter
	second  int   // whose poster they scan later, too late for that one; nobody for most
	ownCode bool  // tries to invite themselves
	stutter bool  // everything about them is delivered twice
	binds   bool  // becomes a member
	order   int64 // what they buy for, minor units of CNY; 0 for nothing
	refunds bool
	leaves  bool
	returns bool
}

func (f fan) user() string { return fmt.Sprintf("fan-%04d", f.number) }

// Story is a crowd of fans.
type Story struct {
	fans []fan
}

// Write makes up a story. The same count and seed give the same story.
func Write(fans int, seed uint64) Story {
	dice := rand.New(rand.NewPCG(seed, 0))
	s := Story{fans: make([]fan, fans)}
	roots := max(1, fans/25)
	pull := make([]float64, fans) // how eagerly each one invites; a few invite most
	total := 0.0
	for i := range s.fans {
		f := fan{number: i, nickname: nickname(dice), inviter: nobody, second: nobody}
		if i >= roots {
			f.inviter = s.pick(dice, pull, total)
			f.depth = s.fans[f.inviter].depth + 1
		}
		eager := math.Exp(1.8 * dice.NormFloat64())
		s.decide(&f, dice, eager, s.pick(dice, pull, total))
		s.fans[i] = f
		if !f.looks {
			pull[i] = eager
			total += pull[i]
		}
	}
	return s
}

// pick chooses an inviter among those who have a poster, by how eagerly they invite.
func (s Story) pick(dice *rand.Rand, pull []float64, total float64) int {
	at := dice.Float64() * total
	last := 0
	for i, p := range pull {
		if p == 0 {
			continue
		}
		last = i
		if at -= p; at < 0 {
			break
		}
	}
	return last
}

// decide makes up what a fan will do; other is somebody whose poster they may see, too. Those who invite most are
// also the better customers.
func (s Story) decide(f *fan, dice *rand.Rand, eager float64, other int) {
	chance := func(p float64) bool { return dice.Float64() < p }
	f.stutter = chance(0.2)
	invited := f.inviter != nobody
	if invited && chance(0.1) {
		f.looks = true
		return
	}
	f.known = invited && chance(0.06)
	f.ownCode = !invited && chance(0.5)
	if invited && chance(0.08) && other != f.inviter && s.fans[other].depth < f.depth {
		f.second = other
	}
	customer := min(0.9, 0.4+eager/10)
	f.binds = chance(customer)
	if chance(customer) {
		f.order = 100 * (39 + dice.Int64N(260))
		f.refunds = chance(0.15)
	}
	f.leaves = chance(0.12)
	f.returns = f.leaves && chance(0.5)
}

// generations groups the fans by how many invitations they are away from those who came by themselves.
func (s Story) generations() [][]fan {
	var all [][]fan
	for _, f := range s.fans {
		for len(all) <= f.depth {
			all = append(all, nil)
		}
		all[f.depth] = append(all[f.depth], f)
	}
	return all
}

func nickname(dice *rand.Rand) string {
	family := []string{"小", "阿", "大", "王", "李", "张", "陈", "欧阳", "老"}
	given := []string{"满", "雨", "可", "星星", "豆豆", "团子", "明", "子涵", "一诺", "木子", "橙子", "北北"}
	after := []string{"", "", "", "", "🌸", "✨", "🐱", "的小店", "👨‍👩‍👧"}
	switch dice.IntN(12) {
	case 0:
		return []string{"Lily", "Max 🚀", "Zoë", "Иван"}[dice.IntN(4)]
	case 1:
		return "今天也要喝一杯热热的桂花乌龙再出门的" + given[dice.IntN(len(given))]
	}
	return family[dice.IntN(len(family))] + given[dice.IntN(len(given))] + after[dice.IntN(len(after))]
}
