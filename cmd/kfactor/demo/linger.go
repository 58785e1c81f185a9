package demo

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

const (
	lingerEvery = 3 * time.Second
	mostLate    = 5000 // who come after the story
)

// GoOn lets somebody come now and then after the story, by the real time, until ctx ends. Nobody counts them.
func (p *Play) GoOn(ctx context.Context) error {
	clock := p.twin.Clock()
	clock.Set(time.Now())
	clock.Run()
	dice := rand.New(rand.NewPCG(p.story.seed, 1))
	hosts := p.hosts()
	tick := time.NewTicker(lingerEvery)
	defer tick.Stop()
	for range mostLate {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if len(hosts) == 0 {
			return nil
		}
		f := fan{number: len(p.people), name: nickname(dice), inviter: hosts[dice.IntN(len(hosts))], second: nobody}
		p.people = append(p.people, p.newcomer(f.name))
		p.numbers[p.people[f.number].OpenID] = f.number
		if err := p.arrive(ctx, f); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("fan %d: %w", f.number, err)
		}
	}
	return nil
}

// hosts are fans of the last town whose posters can be seen.
func (p *Play) hosts() []int {
	var hosts []int
	if len(p.story.towns) == 0 {
		return nil
	}
	for _, f := range p.story.towns[len(p.story.towns)-1] {
		if f.joins() && !f.away() {
			hosts = append(hosts, f.number)
		}
	}
	return hosts
}
