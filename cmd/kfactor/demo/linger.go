package demo

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"kfactor/channel/wechat/twin"
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
		f.opens, f.asks = dice.IntN(2) == 0, questions[dice.IntN(len(questions))]
		f.dresses = f.opens && dice.IntN(2) == 0
		p.people = append(p.people, p.newcomer(f.name))
		p.numbers[p.people[f.number].OpenID] = f.number
		for _, does := range []act{p.arrive, p.awaitPoster, p.openPage, p.renew, p.ask} {
			switch err := does(ctx, f); {
			case ctx.Err() != nil:
				return nil
			case errors.Is(err, errNoPoster), errors.Is(err, errExpired): // it is too long ago
			case err != nil:
				return fmt.Errorf("fan %d: %w", f.number, err)
			}
		}
	}
	return nil
}

// awaitPoster waits for what somebody came for.
func (p *Play) awaitPoster(ctx context.Context, f fan) error {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	_, err := p.people[f.number].Await(ctx, func(m twin.Message) bool { return m.By == twin.ByAccount && m.Type == "image" })
	if err != nil {
		return fmt.Errorf("%w; %w", errNoPoster, err)
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
