// Package demo plays fans of a sample campaign against a running server: people with WeChat in their hand, on a twin of
// the platform, who find posters in chats, read the codes in them, follow, ask, leave and come back. It counts for
// itself what should come of it.
package demo

import (
	"fmt"
	"math"
	"math/rand/v2"
)

// Bounds on the number of fans. The sample campaign's budget and points last for the most.
const (
	LeastFans = 1
	MostFans  = 50_000
)

// townSize is how many fans know each other. Towns are played one after the other, so that no more posters have to be
// kept than those of one.
const townSize = 1000

// nobody stands for the inviter of those who come by themselves.
const nobody = -1

// acquaintance is what somebody had to do with the account before the campaign.
type acquaintance int

const (
	stranger acquaintance = iota
	gone                  // followed it once, and left
	follower              // has followed it all along
)

// question is what somebody asks the account, and how.
type question struct {
	word string // what they write; "" for nothing
	tap  string // the menu's key for the same
}

var questions = []question{{"进度", "progress"}, {"排行", "ranking"}, {"为什么", "why"}}

// fan is a person and all they will do, decided before the first of them moves, so that it does not matter who is
// quicker.
type fan struct {
	number  int
	name    string // on WeChat, which tells it only to pages that were allowed to ask
	inviter int    // in whose chat they see a poster; nobody for those who come by themselves
	depth   int
	before  acquaintance

	looks    bool // reads the poster's code, looks at the account and goes away
	byText   bool // of those who ask for their poster: by a word, not by the menu
	second   int  // whose poster they scan later, too late for that one; nobody for most
	ownCode  bool // scans their own poster
	opens    bool // the page of their own
	dresses  bool // and lets it have their name and picture
	agrees   bool // to a notice about rewards
	checks   bool // looks after their friends came, by the menu
	asks     question
	talks    bool // becomes a member, in a dialogue with the account
	mistypes bool // and gets the number wrong at first
	binds    bool // becomes a member, in the shop
	order    int64
	refunds  bool
	leaves   bool
	returns  bool
}

// joins says whether the fan becomes a participant.
func (f fan) joins() bool { return !f.looks }

// member says whether the fan becomes a member, by whatever way.
func (f fan) member() bool { return f.talks || f.binds }

// away says whether the fan does not follow the account any more.
func (f fan) away() bool { return f.leaves && !f.returns }

// counts says whether the fan is a friend who counts for their inviter while they follow.
func (f fan) counts() bool { return f.joins() && f.inviter != nobody && f.before == stranger }

// phone is a number of a member's, one of those that nobody is given.
func (f fan) phone() string { return fmt.Sprintf("170%08d", f.number) }

// Story is a crowd of fans.
type Story struct {
	seed  uint64
	fans  []fan
	towns [][]fan // parts of fans, in order
}

// Write makes up a story. The same count and seed give the same story.
func Write(fans int, seed uint64) Story {
	dice := rand.New(rand.NewPCG(seed, 0))
	s := Story{seed: seed, fans: make([]fan, 0, fans)}
	for first := 0; first < fans; first += townSize {
		s.settle(dice, min(townSize, fans-first))
	}
	return s
}

// settle adds a town.
func (s *Story) settle(dice *rand.Rand, size int) {
	first := len(s.fans)
	pull := make([]float64, 0, size) // how eagerly each one invites; a few invite most
	total := 0.0
	for i := range size {
		f := fan{number: first + i, name: nickname(dice), inviter: nobody, second: nobody}
		if i >= max(1, size/25) {
			f.inviter = first + pick(dice, pull, total)
			f.depth = s.fans[f.inviter].depth + 1
		}
		eager := math.Exp(1.8 * dice.NormFloat64())
		s.decide(&f, dice, eager, first+pick(dice, pull, total))
		s.fans = append(s.fans, f)
		if !f.joins() {
			eager = 0
		}
		pull = append(pull, eager)
		total += eager
	}
	s.towns = append(s.towns, s.fans[first:len(s.fans):len(s.fans)])
}

// pick chooses somebody by how eagerly they invite.
func pick(dice *rand.Rand, pull []float64, total float64) int {
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
func (s *Story) decide(f *fan, dice *rand.Rand, eager float64, other int) {
	chance := func(p float64) bool { return dice.Float64() < p }
	invited := f.inviter != nobody
	switch p := dice.Float64(); {
	case p < 0.05:
		f.before = gone
	case p < 0.1 || !invited && p < 0.4:
		f.before = follower
	}
	if invited && f.before != follower && chance(0.12) {
		f.looks = true
		return
	}
	f.byText = chance(0.5)
	if invited && chance(0.08) && other != f.inviter && s.fans[other].depth < f.depth {
		f.second = other
	}
	f.ownCode = chance(0.04)
	f.opens = chance(0.4)
	f.dresses = f.opens && chance(0.7)
	f.agrees = f.opens && chance(0.5)
	f.checks = chance(0.3)
	if chance(0.3) {
		f.asks = questions[dice.IntN(len(questions))]
	}
	f.leaves = chance(0.12)
	f.returns = f.leaves && chance(0.5)
	customer := min(0.9, 0.4+eager/10)
	if chance(customer) {
		f.talks = !f.away() && chance(0.6)
		f.mistypes = f.talks && chance(0.2)
		f.binds = !f.talks
	}
	if chance(customer) {
		f.order = 100 * (39 + dice.Int64N(260))
		f.refunds = chance(0.15)
	}
}

// generations groups a town by how many invitations its people are away from those who came by themselves.
func generations(town []fan) [][]fan {
	var all [][]fan
	for _, f := range town {
		for len(all) <= f.depth {
			all = append(all, nil)
		}
		all[f.depth] = append(all[f.depth], f)
	}
	return all
}

// star is one of the first whose phone and page show most: with a face, and with many friends.
func (s Story) star() int {
	friends := map[int]int{}
	for _, f := range s.fans {
		if f.counts() {
			friends[f.inviter]++
		}
	}
	best, most := nobody, -1
	for _, f := range s.towns[0] {
		worth := friends[f.number]
		if f.dresses {
			worth += 10
		}
		if f.asks.word != "" {
			worth += 5
		}
		if f.depth <= 1 && f.joins() && !f.away() && worth > most {
			best, most = f.number, worth
		}
	}
	return best
}

// days is how long the story takes: a day for each generation of each town, one in which each town settles down, and
// those that pass after the first.
func (s Story) days() int {
	days := 0
	for _, town := range s.towns {
		days += len(generations(town)) + 1 + windowDays
	}
	return days
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

// String says how large the story is.
func (s Story) String() string {
	return fmt.Sprintf("%d fans in %d days", len(s.fans), s.days())
}
