package demo

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"time"

	"kfactor/engine"
	"kfactor/event"
)

const (
	pageOfJournal = 200
	firstLook     = 5 * time.Millisecond // between two looks at the server while it works
	lastLook      = 50 * time.Millisecond
	settleTime    = 2 * time.Minute // until a server that does not come to rest is given up
)

// journal is what the campaign's journal told so far.
type journal struct {
	cursor string // of the page that is being read
	read   int    // events of it that were told

	codes    map[string]string // of those who joined, by user
	credited map[string]string // by user: the code that a friend counts for, whether they still do or not
	events   int64             // from outside
}

// follow reads on. It says how many events it was told, and whether there are some that were not applied yet.
func (j *journal) follow(ctx context.Context, p *Play) (told int, behind bool, err error) {
	for {
		var page engine.List[engine.EventView]
		path := fmt.Sprintf("%s/events?system=true&limit=%d&cursor=%s", campaignPath, pageOfJournal, url.QueryEscape(j.cursor))
		if err := p.team.Get(ctx, path, &page); err != nil {
			return told, false, err
		}
		for _, e := range page.Items[min(j.read, len(page.Items)):] {
			if e.Seq == nil {
				return told, true, nil
			}
			j.tell(&e)
			j.read++
			told++
		}
		if page.Next == "" {
			return told, false, nil
		}
		j.cursor, j.read = page.Next, 0
	}
}

func (j *journal) tell(e *engine.EventView) {
	if !e.System {
		j.events++
	}
	switch {
	case e.Type == event.Joined && e.Outcome == string(event.Applied):
		j.codes[e.User] = e.Code
	case e.Type == "subscribe" && e.Outcome == string(event.Credited):
		j.credited[e.User] = e.Code
	}
}

// rest waits until the server has nothing left to do: every event is applied, and every message that is due was sent
// or waits for its reader.
func (p *Play) rest(ctx context.Context) error {
	deadline := time.Now().Add(settleTime)
	for look := firstLook; ; look = min(2*look, lastLook) {
		_, behind, err := p.journal.follow(ctx, p)
		if err != nil {
			return err
		}
		due := false
		if !behind {
			if due, err = p.due(ctx); err != nil {
				return err
			}
		}
		if !behind && !due {
			// What was sent last may have made somebody join.
			told, behind, err := p.journal.follow(ctx, p)
			if err != nil || told == 0 && !behind {
				return err
			}
			continue
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the server has not come to rest in %s: events wait is %t, messages wait is %t", settleTime, behind, due)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(look):
		}
	}
}

// givenUp waits until the server has given up what waited too long for its reader, which it looks for once a second.
func (p *Play) givenUp(ctx context.Context) error {
	for deadline := time.Now().Add(settleTime); ; {
		messages, err := all[engine.MessageView](ctx, p, campaignPath+"/messages?state=waiting")
		if err != nil {
			return err
		}
		now := p.twin.Clock().Now()
		if !slices.ContainsFunc(messages, func(m engine.MessageView) bool { return !m.ExpiresAt.After(now) }) {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the server has not given up messages that are too old in %s", settleTime)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(lastLook):
		}
	}
}

// due says whether there are messages to be sent now.
func (p *Play) due(ctx context.Context) (bool, error) {
	now := p.twin.Clock().Now()
	for _, state := range []string{"owed", "taken", "owed", "taken"} { // it may go either way between two looks
		for cursor := ""; ; {
			var page engine.List[engine.MessageView]
			path := campaignPath + "/messages?limit=20&state=" + state + "&cursor=" + url.QueryEscape(cursor)
			if err := p.team.Get(ctx, path, &page); err != nil {
				return false, err
			}
			for _, m := range page.Items {
				if m.DueAt == nil || !m.DueAt.After(now) {
					return true, nil
				}
			}
			if cursor = page.Next; cursor == "" {
				break
			}
		}
	}
	return false, nil
}
